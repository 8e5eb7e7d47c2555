import { isNode, LineCounter, parseDocument } from 'yaml'
import type { z } from 'zod'
import { SluiceError, type UsageError } from './errors.ts'

/**
 * Parses YAML and checks it against a schema.
 * @param fileName only for messages
 * @throws {SluiceError} with `code`, naming file, line, field and what was expected
 */
export function parseCheckedYaml<Schema extends z.ZodType>(
  text: string,
  fileName: string,
  schema: Schema,
  code: UsageError,
): z.infer<Schema> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const broken = document.errors[0] ?? document.warnings[0]
  if (broken !== undefined) {
    throw new SluiceError(
      code,
      `${fileName}, line ${lines.linePos(broken.pos[0]).line}: not valid YAML: ${broken.message}`,
    )
  }
  const parsed = schema.safeParse(document.toJS())
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const unknownKey = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined
  const path = [...(issue?.path ?? []), ...(unknownKey === undefined ? [] : [unknownKey])].map(String)
  const expectation =
    unknownKey === undefined
      ? (issue?.message ?? '').replace(/^Invalid input: /, '')
      : 'there is no such field; remove it or correct its spelling'
  throw new SluiceError(
    code,
    `${fileName}, line ${lineOf(path)}, ${path.join(' > ') || 'the whole file'}: ${expectation}`,
  )

  /** The line of the deepest part of the path that is in the file. */
  function lineOf(wanted: string[]): number {
    for (let depth = wanted.length; depth > 0; depth--) {
      const node = document.getIn(wanted.slice(0, depth), true)
      if (isNode(node) && node.range) return lines.linePos(node.range[0]).line
    }
    return 1
  }
}
