/**
 * A file that shows a known picture to somebody, or that is meant to break what looks at it.
 * `found`: the known picture must be among its hashes; `held`: it may also have a fault that holds it.
 * `alive`: it shows nothing, and only must not harm.
 */
export type HostileFile = { name: string; bytes: Buffer; expected: 'found' | 'held' | 'alive' }

/** The picture that must not pass and one that may, PNGs of one size without transparency. */
export type Pair = { known: Buffer; innocent: Buffer; width: number; height: number }

export const found = (name: string, bytes: Buffer): HostileFile => ({ name, bytes, expected: 'found' })
export const held = (name: string, bytes: Buffer): HostileFile => ({ name, bytes, expected: 'held' })
export const alive = (name: string, bytes: Buffer): HostileFile => ({ name, bytes, expected: 'alive' })
