import { openLibc } from './libc.ts'

// Of Linux's mman-common.h: these pages may be large ones; make them so now.
const MADV_HUGEPAGE = 14
const MADV_COLLAPSE = 25

const PAGE_BYTES = 4096

let advise: ((memory: SharedArrayBuffer, advice: number) => void) | undefined

/**
 * Asks the system to lay memory that is searched all over into large pages, where it can (Linux, from 6.1 on at once): each place in small ones that is
 * looked at has to be looked up first. Takes a second for a gigabyte. Where it can't be had, nothing changes.
 */
export function useLargePages(memory: SharedArrayBuffer): void {
  advise ??= openAdvise()
  for (const advice of [MADV_HUGEPAGE, MADV_COLLAPSE]) advise(memory, advice)
}

function openAdvise(): NonNullable<typeof advise> {
  const libc = openLibc()
  const madvise = libc?.find('int madvise(uint8_t *memory, size_t length, int advice)')
  if (!libc || !madvise) return () => undefined
  return (memory, advice) => {
    // Whole pages only are taken.
    const begin = Number(-libc.koffi.address(new Uint8Array(memory)) & BigInt(PAGE_BYTES - 1))
    if (begin < memory.byteLength) madvise(new Uint8Array(memory, begin), memory.byteLength - begin, advice)
  }
}
