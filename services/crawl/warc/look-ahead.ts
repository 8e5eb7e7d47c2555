import type { Capture, Companion, RecordFacts } from './capture.ts'

/** So many records behind a capture, or before it, what was asked and what was noted of it are looked for. */
const NEARBY_RECORDS = 8
/** As many bytes of captures wait for that, beside one that is longer. */
const WAITING_BYTES = 8_388_608

/**
 * Brings captures together with the records about them. Tools write these just before (wget, Common Crawl) or just behind (Heritrix, warcio, browsertrix).
 * Captures come out in the order in which they went in.
 */
export function createLookAhead() {
  const waiting: { capture: Capture; since: number }[] = []
  let held: { companion: Companion; since: number }[] = []
  let bytes = 0
  let now = 0

  function ready(): Capture[] {
    const done: Capture[] = []
    for (let first = waiting[0]; first !== undefined; first = waiting[0]) {
      if (now - first.since < NEARBY_RECORDS && (bytes <= WAITING_BYTES || waiting.length === 1)) break
      waiting.shift()
      bytes -= first.capture.payload.length
      done.push(first.capture)
    }
    return done
  }

  /** Takes what is held of a capture's companions. */
  function claim(facts: RecordFacts): Companion[] {
    const claimed: Companion[] = []
    held = held.filter(({ companion, since }) => {
      if (now - since > NEARBY_RECORDS) return false
      if (!belongs(companion, facts, claimed)) return true
      claimed.push(companion)
      return false
    })
    return claimed
  }

  return {
    /** @returns captures whose companions are no longer waited for */
    putCapture(capture: Capture): Capture[] {
      now++
      capture.companions = claim(capture)
      bytes += capture.payload.length
      waiting.push({ capture, since: now })
      return ready()
    },
    putCompanion(companion: Companion): Capture[] {
      now++
      const found = waiting.findLast(({ capture }) => belongs(companion, capture, capture.companions))
      if (found === undefined) {
        held.push({ companion, since: now })
        if (held.length > NEARBY_RECORDS) held.shift()
      } else found.capture.companions.push(companion)
      return ready()
    },
    /** Of something that is no item: its companions belong to nothing else. */
    passOver(facts: RecordFacts): Capture[] {
      now++
      claim(facts)
      return ready()
    },
    /** At the end. */
    rest: (): Capture[] => waiting.splice(0).map(({ capture }) => capture),
  }
}

function belongs(companion: Companion, facts: RecordFacts, others: readonly Companion[]): boolean {
  if (others.some(({ kind }) => kind === companion.kind)) return false
  const [ids, own] = [facts, companion].map(idsOf)
  const known = new Set([...(ids ?? []), ...others.flatMap(idsOf)])
  if (own?.some((id) => known.has(id))) return true
  return companion.concurrentTo.length === 0 && companion.uri !== null && companion.uri === facts.uri
}

function idsOf({ recordId, concurrentTo }: Pick<RecordFacts, 'recordId' | 'concurrentTo'>): string[] {
  return recordId === null ? concurrentTo : [recordId, ...concurrentTo]
}
