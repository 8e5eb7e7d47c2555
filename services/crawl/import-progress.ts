import type { Found, Part } from './importer.ts'

const WIDTH = 24

/** How much of some parts has been read, told by the bytes of their files; about, for files may be packed. */
export type ImportProgress = {
  begin(part: Part): void
  saw(found: Found): void
  end(part: Part): void
  /** a bar with a share, and which part it is at; empty where nobody knows how much there is */
  text(): string
}

export function createImportProgress(parts: readonly Part[]): ImportProgress {
  const total = parts.reduce((sum, { size }) => sum + (size ?? Number.NaN), 0)
  let ended = 0
  let bytesEnded = 0
  let size = 0
  let seen = 0
  return {
    begin(part) {
      size = part.size ?? 0
      seen = 0
    },
    saw(found) {
      if (found.kind === 'item') seen += found.collected.payload.length
    },
    end() {
      ended++
      bytesEnded += size
      size = 0
    },
    text() {
      const share = (bytesEnded + Math.min(size, seen)) / total
      if (!Number.isFinite(share)) return ''
      const full = Math.round(share * WIDTH)
      const bar = `[${'#'.repeat(full)}${'-'.repeat(WIDTH - full)}] about ${Math.round(share * 100)} %`
      return parts.length === 1 ? `${bar}, ` : `${bar}, file ${Math.min(ended + 1, parts.length)} of ${parts.length}, `
    },
  }
}
