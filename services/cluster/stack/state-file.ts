import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'

const port = z.number().int().positive().max(65_535)

/** What is written down of a stack: where the others find it, and where it shall come back. */
export const stateSchema = z.object({
  provider: z.enum(['jvm', 'containers']),
  brokers: z.array(z.string()),
  registry: z.string(),
  /** folder with one file a principal */
  users: z.string(),
  ports: z.object({ kafka: port, controller: port, registry: port, management: port }),
})
export type State = z.infer<typeof stateSchema>

/** null when there is none, or none that can be used: what runs is found without it. */
export function readState(file: string): State | null {
  if (!existsSync(file)) return null
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch {
    return null
  }
}

/** Whole or not at all: others read this file at any time. */
export function writeState(file: string, state: State): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`)
  renameSync(`${file}.new`, file)
}
