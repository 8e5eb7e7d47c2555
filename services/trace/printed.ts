import { visible } from '../platform/visible.ts'
import type { Section } from './told-passage.ts'

const INDENT = '  '

/** One JSON value in one line. What would steer a terminal is escaped, as JSON may be. */
export function printedJson(value: unknown): string {
  return visible(JSON.stringify(value))
}

/** Sections as lines for a terminal: whatever strangers wrote steers nothing. */
export function printedSections(sections: readonly Section[]): string {
  const titleWidth = Math.max(...sections.map(({ title }) => title.length))
  return sections
    .flatMap(({ title, rows }) => {
      const labels = rows.map(([label]) => visible(label))
      const labelWidth = Math.max(...labels.map((label) => label.length))
      return rows.map(([, text], row) => {
        const head = (row === 0 ? title : '').padEnd(titleWidth)
        return `${INDENT}${head}  ${(labels[row] ?? '').padEnd(labelWidth)}  ${visible(text)}`
      })
    })
    .join('\n')
}
