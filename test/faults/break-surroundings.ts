import { rename } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type { Gap } from '../integration/gap.ts'
import type { GateProcess } from '../integration/gate-process.ts'
import type { Bench } from '../integration/harness.ts'
import type { Chance } from './seeded.ts'
import { descendants } from './watch-run.ts'

export type SurroundingsFault = 'registry-away' | 'intake-away' | 'clean-away' | 'held-away' | 'scanner-killed'

const AWAY_MS = { least: 1000, most: 8000 }

export type Surroundings = {
  bench: Bench
  /** before the registry */
  gap: Gap
  /** a gate that may lose a scanner */
  gate(): GateProcess | null
}

/** Takes something away that gates need, and gives it back. */
export const breakSurroundings: Readonly<
  Record<SurroundingsFault, (surroundings: Surroundings, chance: Chance) => Promise<void>>
> = {
  async 'registry-away'({ gap }, chance) {
    gap.cut()
    await away(chance)
    gap.mend()
  },
  'intake-away': ({ bench }, chance) => moveAway(bench.storeFolder('intake'), chance),
  'clean-away': ({ bench }, chance) => moveAway(bench.storeFolder('clean'), chance),
  'held-away': ({ bench }, chance) => moveAway(bench.storeFolder('held'), chance),
  'scanner-killed'({ gate }, chance) {
    const scanners = descendants(gate()?.pid ?? 0)
    if (scanners.length > 0) process.kill(chance.pick(scanners), 'SIGKILL')
    return Promise.resolve()
  },
}

/** Like a disk that is not mounted for a while: a gate must not make a new store in its place. */
async function moveAway(folder: string, chance: Chance): Promise<void> {
  await rename(folder, `${folder}.away`)
  try {
    await away(chance)
  } finally {
    await rename(`${folder}.away`, folder)
  }
}

function away(chance: Chance): Promise<void> {
  return wait(chance.between(AWAY_MS.least, AWAY_MS.most))
}
