import { judge } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { SUPPLY_KIND } from '../domain/judge/provenance.ts'
import { take } from './import.ts'
import { type ImportCounts, noCounts } from './import-counts.ts'
import type { ImportProgress } from './import-progress.ts'
import type { Import, Part } from './importer.ts'

/** What an import would publish, and what policy would say of where it comes from. */
export type CheckCounts = ImportCounts & {
  /** items that policy would hold for what is not known of them, whatever they show */
  held: number
  /** items by reason code of the envelope */
  reasons: Record<string, number>
  /** items by supply kind and fact that they lack, with what policy does then */
  missing: Record<string, { items: number; enforced: boolean }>
}

/**
 * Reads sources as an import would, and publishes nothing. Payloads are not looked at, and no list is asked.
 * @param parts all that the sources have
 */
export async function checkAll(
  what: Pick<Import, 'all'>,
  parts: readonly Part[],
  policy: Policy,
  progress: ImportProgress,
): Promise<CheckCounts> {
  const counts: CheckCounts = { ...noCounts(), held: 0, reasons: {}, missing: {} }
  for (const part of parts) {
    progress.begin(part)
    for await (const found of part.read()) {
      progress.saw(found)
      await take(found, what.all, counts, ({ envelope }) => {
        const { outcome, reasons, missing } = judge({ faults: [], matches: [], envelope, policy })
        if (outcome !== 'clean') counts.held++
        for (const reason of reasons) counts.reasons[reason] = (counts.reasons[reason] ?? 0) + 1
        for (const { fact, enforced } of missing) {
          const name = fact === SUPPLY_KIND ? 'none that is known: supplyKind' : `${envelope.supply?.kind}: ${fact}`
          const before = counts.missing[name]?.items ?? 0
          counts.missing[name] = { items: before + 1, enforced }
        }
      })
    }
    progress.end(part)
  }
  return counts
}
