import { asTable } from '../platform/table.ts'
import type { ImportReport } from './import.ts'

/** Prints what became of a list, as a table or as JSON. @param more columns beside it */
export function tellReport(report: ImportReport, json = false, more: Readonly<Record<string, number>> = {}): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ ...report, ...more })}\n`)
    return
  }
  const { list, entries, added, changed, removed, unchanged } = report
  const columns = { entries, added, changed, removed, unchanged, ...more }
  const table = asTable(['list', ...Object.keys(columns)], [[list, ...Object.values(columns)]])
  process.stdout.write(`${table}\nversion ${report.version}, checked at ${report.checkedAt}\n`)
}
