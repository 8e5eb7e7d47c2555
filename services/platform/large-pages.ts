import { createRequire } from 'node:module'

// Of Linux's mman-common.h: these pages may be large ones; make them so now.
const MADV_HUGEPAGE = 14
const MADV_COLLAPSE = 25

let advise: ((bytes: Uint8Array, length: number, advice: number) => unknown) | null | undefined

/**
 * Asks the system to lay memory that is searched all over into large pages, where it can (Linux, from 6.1 on at once): each place in small ones that is
 * looked at has to be looked up first. Takes a second for a gigabyte. Where it can't be had, nothing changes.
 */
export function useLargePages(memory: SharedArrayBuffer): void {
  if (advise === undefined) advise = openAdvise()
  const bytes = new Uint8Array(memory)
  for (const advice of [MADV_HUGEPAGE, MADV_COLLAPSE]) advise?.(bytes, bytes.length, advice)
}

function openAdvise(): typeof advise {
  if (process.platform !== 'linux') return null
  try {
    // Not before it is needed: where it has nothing built for a system, it can't be loaded at all.
    const koffi: typeof import('koffi') = createRequire(import.meta.url)('koffi')
    return koffi.load('libc.so.6').func('int madvise(uint8_t *memory, size_t length, int advice)')
  } catch {
    return null
  }
}
