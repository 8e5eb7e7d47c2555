import files, { readFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { z } from 'zod'

/**
 * Loaded before a gate (`node --import`) and each of its threads, this makes a disk sick for them. SICK_DISK names a file, which is read anew each time something is opened: JSON, `path`
 * is what a file's path must contain to be concerned, `illness` what befalls it: it takes `ms` longer, or fails as a broken disk does.
 */
const sickness = z.object({
  path: z.string(),
  illness: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('well') }),
    z.object({ kind: z.literal('slow'), ms: z.number() }),
    z.object({ kind: z.literal('broken') }),
  ]),
})
export type Sickness = z.infer<typeof sickness>

const open = files.openSync
const nothing = new Int32Array(new SharedArrayBuffer(4))

files.openSync = (path, ...rest) => {
  const { path: part, illness } = sickness.parse(JSON.parse(readFileSync(process.env.SICK_DISK ?? '', 'utf8')))
  if (String(path).includes(part)) {
    // The thread stands still, as it does in a system call that does not return.
    if (illness.kind === 'slow') Atomics.wait(nothing, 0, 0, illness.ms)
    if (illness.kind === 'broken')
      throw Object.assign(new Error('EIO: i/o error, open'), { code: 'EIO', syscall: 'open' })
  }
  return open(path, ...rest)
}
syncBuiltinESMExports()
