import { createFloodCount, type Flood } from '../domain/flood.ts'
import type { Policy } from '../domain/judge/policy.ts'
import type { PlacedVersion } from '../domain/list-news.ts'
import { isRecalled } from '../domain/recall.ts'
import type { RecallRecord } from '../domain/records.ts'
import { hasVersion, type Progress, type SavedPass } from './progress.ts'

/** How far a list is. */
export type ListRecallStatus = {
  list: string
  /** in force */
  version: string
  /** everything cleared before `verdicts` has been compared with this one; null where nothing has */
  compared: string | null
  /** whether what was cleared is being compared with the version in force, or has been */
  state: 'compared' | 'under way' | 'waits for a person' | 'to be compared'
  /** items that the list holds, and such as it held */
  recalled: number
  withdrawn: number
}

export type RecallStatus = {
  lists: ListRecallStatus[]
  /** records of gate.verdicts that have been compared with what is in force, and that there are; control records included */
  verdicts: { compared: number; total: number }
  recalled: number
  withdrawn: number
  /** waits for a person */
  floods: Flood[]
}

/** @param ends of gate.verdicts, by partition */
export function recallStatus(
  versions: readonly PlacedVersion[],
  progress: Progress | null,
  recalls: readonly RecallRecord[],
  ends: ReadonlyMap<number, number>,
  policy: Pick<Policy, 'flood'>,
): RecallStatus {
  const pass = progress?.pass ?? null
  const current = versions.every((version) => hasVersion(pass?.versions ?? progress?.versions ?? [], version))
  const floods = pass === null ? [] : floodsOf(pass, policy)
  const positions = current ? (pass ?? progress)?.verdicts : undefined
  const [on, off] = [recalls.filter(isRecalled), recalls.filter((recall) => !isRecalled(recall))]
  return {
    lists: versions.map((inForce): ListRecallStatus => {
      const { list, version } = inForce
      const isUnderWay = pass !== null && hasVersion(pass.versions, inForce)
      return {
        list,
        version,
        compared: progress?.versions.find((one) => one.list === list)?.version ?? null,
        state: hasVersion(progress?.versions ?? [], inForce)
          ? 'compared'
          : !isUnderWay
            ? 'to be compared'
            : pass.flooded.includes(list)
              ? 'waits for a person'
              : 'under way',
        recalled: on.filter(({ matches }) => matches.some((match) => match.list === list)).length,
        withdrawn: off.filter(({ matches }) => matches.some((match) => match.list === list)).length,
      }
    }),
    verdicts: {
      compared: [...ends].reduce((sum, [partition, end]) => sum + Math.min(end, positions?.get(partition) ?? 0), 0),
      total: [...ends.values()].reduce((sum, end) => sum + end, 0),
    },
    recalled: on.length,
    withdrawn: off.length,
    floods,
  }
}

function floodsOf({ counts, flooded }: SavedPass, { flood }: Pick<Policy, 'flood'>): Flood[] {
  return createFloodCount(counts)
    .floods(flood)
    .filter(({ list }) => flooded.includes(list))
}
