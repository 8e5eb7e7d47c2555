import { readFileSync } from 'node:fs'
import files from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'

/**
 * Loaded before a gate (`node --import`), this makes a disk sick. SICK_DISK names a file, which is read anew each time something is opened: JSON, `path`
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

const open = files.open

files.open = async (path, ...rest) => {
  const { path: part, illness } = sickness.parse(JSON.parse(readFileSync(process.env.SICK_DISK ?? '', 'utf8')))
  if (String(path).includes(part)) {
    if (illness.kind === 'slow') await wait(illness.ms)
    if (illness.kind === 'broken')
      throw Object.assign(new Error('EIO: i/o error, open'), { code: 'EIO', syscall: 'open' })
  }
  return await open(path, ...rest)
}
syncBuiltinESMExports()
