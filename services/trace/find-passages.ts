import { existsSync } from 'node:fs'
import { coordinatesText } from '../domain/coordinates.ts'
import { SluiceError } from '../domain/errors.ts'
import { createKeyLookup } from '../domain/keyring.ts'
import { createReceiptCheck, mismatch, type ReceiptFault, viewDigest } from '../domain/receipt.ts'
import type { CleanItem, Envelope, EnvelopeRecord, RecallRecord, VerdictRecord } from '../domain/records.ts'
import type { Topic } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { type ReadTopicOptions, readTopic } from '../platform/kafka/read-topic.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { isWanted, mayBeWanted, type Wanted } from './wanted.ts'

/** As many passages of one item are told, the newest ones. */
const MOST_PASSAGES = 1000
/** Of all their envelopes together, in bytes: anybody may send long ones under any id. */
const MOST_ENVELOPE_BYTES = 134_217_728

/**
 * `told`: it is there; `denied`: this principal may not read it; `left-out`: with the others it would be too much, but it is told when it is asked
 * for alone; `absent`: there is none
 */
export type EnvelopeState = 'told' | 'denied' | 'left-out' | 'absent'

/** Whether the gate's signature holds for the cleared item and, where that is told, its envelope; `unchecked`: there is no keyring to check it by */
export type ReceiptStanding = 'holds' | 'unchecked' | ReceiptFault

/** One message's way through the gate: the records of one door offset. */
export type Passage = {
  key: string | null
  /** without its fingerprint, of which only the number of signals is kept */
  verdict: Omit<VerdictRecord, 'fingerprint'> & { signals: number }
  envelope: Envelope | null
  envelopeState: EnvelopeState
  /** null where it was not cleared, or gate.clean may not be read */
  clean: CleanItem | null
  /** null where there is no cleared item */
  receipt: ReceiptStanding | null
  /** whether what was cleared has been recalled since; null where it was not, or gate.recalls may not be read */
  recall: RecallRecord | null
}

export type FoundPassages = {
  /** newest last */
  passages: Passage[]
  /** how many older ones there are beside them */
  leftOut: number
  /** topics that this principal may not read */
  denied: Topic[]
}

/**
 * Everything that the gate wrote about what is looked for. Reads gate.verdicts to its end, then gate.envelopes, gate.clean and gate.recalls; keeps what it finds.
 * @param onRecord told of every record read, for progress
 * @throws {SluiceError} ACCESS_DENIED for gate.verdicts, BROKER_UNREACHABLE, TOPICS_MISSING, REGISTRY_UNREACHABLE
 */
export async function findPassages(
  { settings, registry }: { settings: Settings; registry: Registry },
  wanted: Wanted,
  onRecord: () => void,
): Promise<FoundPassages> {
  let passages: Passage[] = []
  let leftOut = 0
  const denied: Topic[] = []

  function read<Value>({
    isWanted,
    ...options
  }: Pick<ReadTopicOptions<Value>, 'topic' | 'isWanted' | 'onValue'>): Promise<void> {
    return readTopic<Value>({
      ...options,
      // Instances share what they know of offsets.
      kafka: createKafka(settings, 'sluice-trace'),
      registry,
      prefix: settings.prefix,
      isWanted(record) {
        onRecord()
        return isWanted(record)
      },
    })
  }

  function readIfAllowed<Value>(options: Parameters<typeof read<Value>>[0]): Promise<void> {
    return read<Value>(options).catch((error: unknown) => {
      if (!(error instanceof SluiceError) || error.code !== 'ACCESS_DENIED') throw error
      denied.push(options.topic)
    })
  }

  function keepNewest(most: number): void {
    passages.sort(byAge)
    leftOut += Math.max(0, passages.length - most)
    passages = passages.slice(-most)
  }

  await read<VerdictRecord>({
    topic: 'gate.verdicts',
    isWanted: (record) => mayBeWanted(record, wanted),
    onValue({ fingerprint, ...verdict }, { key }) {
      if (!isWanted(verdict, wanted)) return
      passages.push({
        key: key?.toString('utf8') ?? null,
        verdict: { ...verdict, signals: fingerprint.length },
        envelope: null,
        envelopeState: 'absent',
        clean: null,
        receipt: null,
        recall: null,
      })
      if (passages.length >= 2 * MOST_PASSAGES) keepNewest(MOST_PASSAGES)
    },
  })
  keepNewest(MOST_PASSAGES)
  if (passages.length === 0) return { passages, leftOut, denied }

  const byInput = new Map(passages.map((passage) => [coordinatesText(passage.verdict.input), passage]))
  const keys = new Set(passages.map(({ key }) => key))
  const hasCleared = passages.some(({ verdict }) => verdict.outcome === 'clean')
  const payloads = new Set(passages.map(({ verdict }) => verdict.sha256))
  let envelopeBytes = 0
  await Promise.all([
    readIfAllowed<EnvelopeRecord>({
      topic: 'gate.envelopes',
      isWanted: ({ key }) => keys.has(key?.toString('utf8') ?? null),
      onValue({ input, envelope }, { value }) {
        const passage = byInput.get(coordinatesText(input))
        if (passage === undefined) return
        const length = value?.length ?? 0
        const fits = envelopeBytes === 0 || envelopeBytes + length <= MOST_ENVELOPE_BYTES
        passage.envelopeState = fits ? 'told' : 'left-out'
        if (!fits) return
        envelopeBytes += length
        passage.envelope = envelope
      },
    }),
    hasCleared &&
      readIfAllowed<CleanItem>({
        topic: 'gate.clean',
        isWanted: ({ key }) => keys.has(key?.toString('utf8') ?? null),
        onValue(clean) {
          const passage = byInput.get(coordinatesText(clean.input))
          if (passage !== undefined) passage.clean = clean
        },
      }),
    hasCleared &&
      readIfAllowed<RecallRecord>({
        topic: 'gate.recalls',
        isWanted: ({ key }) => payloads.has(key?.toString('utf8') ?? null),
        onValue(recall) {
          for (const passage of passages) {
            const { outcome, sha256 } = passage.verdict
            if (outcome === 'clean' && sha256 === recall.sha256) passage.recall = recall
          }
        },
      }),
  ])
  const receiptOf = createReceiptStanding(settings)
  for (const passage of passages) passage.receipt = await receiptOf(passage)
  if (denied.includes('gate.envelopes')) for (const passage of passages) passage.envelopeState = 'denied'
  return { passages, leftOut, denied }
}

/** @throws {SluiceError} CONFIG_INVALID for a keyring that is there and wrong */
function createReceiptStanding({ keyring }: Settings): (passage: Passage) => Promise<ReceiptStanding | null> {
  const check = existsSync(keyring) ? createReceiptCheck(createKeyLookup(readKeyring(keyring))) : null
  return async ({ clean, envelope }) => {
    if (clean === null) return null
    if (check === null) return 'unchecked'
    const receipt = await check(clean.receipt)
    if (typeof receipt === 'string') return receipt
    const isIts = envelope === null || viewDigest(envelope) === receipt.envelope.sha256
    return isIts && mismatch(receipt, clean) === null ? 'holds' : 'RECEIPT_MISMATCH'
  }
}

function byAge({ verdict: a }: Passage, { verdict: b }: Passage): number {
  return a.inputTimestamp - b.inputTimestamp || a.input.partition - b.input.partition || a.input.offset - b.input.offset
}
