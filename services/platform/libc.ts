import { createRequire } from 'node:module'

type Koffi = typeof import('koffi')
type CFunction = ReturnType<ReturnType<Koffi['load']>['func']>
/**
 * The C library, for what Node has no call for.
 * @property find a function by its declaration in C; null where this library has none of that name
 */
export type Libc = { koffi: Koffi; find(declaration: string): CFunction | null }

/** Opens the C library; null where it can't be called: on other systems than Linux, and where koffi has nothing built for this one. */
export function openLibc(): Libc | null {
  if (process.platform !== 'linux') return null
  return nullOnThrow(() => {
    // Not before it is needed: where it has nothing built for a system, it can't be loaded at all.
    const koffi: Koffi = createRequire(import.meta.url)('koffi')
    const library = koffi.load('libc.so.6')
    return { koffi, find: (declaration) => nullOnThrow(() => library.func(declaration)) }
  })
}

function nullOnThrow<Result>(work: () => Result): Result | null {
  try {
    return work()
  } catch {
    return null
  }
}
