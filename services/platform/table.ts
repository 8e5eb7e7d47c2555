import Table from 'cli-table3'

type Cell = string | number | null

/** A table for people, without colours so that it survives a pipe. Empty cells for null. */
export function asTable(head: readonly string[], rows: ReadonlyArray<readonly Cell[]>): string {
  const table = new Table({
    head: [...head],
    style: { head: [], border: [], compact: true },
  })
  for (const row of rows) table.push(row.map((cell) => cell ?? ''))
  return table.toString()
}

/** As people read sizes: `12.3 MB`. */
export function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
