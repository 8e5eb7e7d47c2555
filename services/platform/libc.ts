import { createRequire } from 'node:module'

type Koffi = typeof import('koffi')
/** The caller of functions that are none of JavaScript's, and the library to take them from. */
export type Libc = { koffi: Koffi; library: ReturnType<Koffi['load']> }

/** The C library, for what Node has no call for; null where it can't be called: where it is not glibc, or koffi has nothing built for this system. */
export function openLibc(): Libc | null {
  if (process.platform !== 'linux') return null
  try {
    // Not before it is needed: where it has nothing built for a system, it can't be loaded at all.
    const koffi: Koffi = createRequire(import.meta.url)('koffi')
    return { koffi, library: koffi.load('libc.so.6') }
  } catch {
    return null
  }
}
