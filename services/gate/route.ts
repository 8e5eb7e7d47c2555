import { hash } from 'node:crypto'
import avro from 'avsc'
import { coordinatesText } from '../domain/coordinates.ts'
import { signDsse } from '../domain/dsse.ts'
import { ENGINE_VERSION } from '../domain/engine.ts'
import { trainingView } from '../domain/envelope.ts'
import { SluiceError } from '../domain/errors.ts'
import type { Reason } from '../domain/reasons.ts'
import { RECEIPT_TYPE, receiptBody, viewDigest } from '../domain/receipt.ts'
import type {
  CleanItem,
  Coordinates,
  EnvelopeRecord,
  HeldItem,
  HeldOriginal,
  MissingFact,
  VerdictRecord,
} from '../domain/records.ts'
import { claimOf } from '../domain/replay/replay-headers.ts'
import { timeText } from '../domain/time-text.ts'
import { DOOR, type Topic } from '../domain/topics.ts'
import { schemaType } from '../platform/avro.ts'
import type { Registry } from '../platform/registry.ts'
import type { SigningKey } from '../platform/signing-key.ts'
import type { Store, StoredObject } from '../platform/stores/store.ts'
import type { Examined } from './examine.ts'
import { nullWhenMissing } from './payload.ts'

/** A message for one of the gate's topics; its partition is that of the input. */
export type Outgoing = { topic: Topic; key: string; value: Buffer; headers: Record<string, string> }

/** What a judged item leads to: exactly one outcome, one verdict, one envelope, and its bytes in their store. */
export type Routed = {
  offset: number
  outcome: string
  reasons: Reason[]
  missing: MissingFact[]
  payloadBytes: number
  messages: Outgoing[]
  /** what must lie in the stores before the messages say so; their bytes are gone then */
  objects: RoutedObject[]
  /** length of all messages' values and objects */
  bytes: number
}

/** An object for one of the stores that a lane writes. */
export type RoutedObject = StoredObject & { store: LaneStore }
export type LaneStore = (typeof laneStores)[number]
const laneStores = ['clean', 'held'] as const

/** Topics that only a lane writes, all in the transaction that commits the input's offset. */
export const laneTopics = ['gate.clean', 'gate.quarantine', 'gate.review', 'gate.verdicts', 'gate.envelopes'] as const

/** A referenced payload beyond this, in bytes, stays in intake (`sluice store gc` leaves it there while the item is held): a file that is large in name only could fill the held store. */
const LONGEST_COPY = 1_073_741_824

const held = schemaType('held-original')

/**
 * Makes the function that writes what items lead to into the stores: the bytes that were checked to clean, or the original record and the
 * payload to held. They are given to the store: whoever comes to these items again reads them anew.
 */
export function createKeep(stores: Readonly<Record<LaneStore, Pick<Store, 'writeAll'>>>) {
  return async function keep(routed: readonly Routed[]): Promise<void> {
    const objects = routed.flatMap((each) => each.objects)
    await Promise.all(
      laneStores.map(async (name) => {
        const some = objects.filter(({ store }) => store === name)
        if (some.length > 0) await stores[name].writeAll(some, true)
      }),
    )
  }
}

/**
 * Makes the function that decides what an examined item leads to. Nothing is written yet, but for a payload that is too large to be kept in
 * memory until then: that is copied to held.
 * @param now milliseconds since the epoch
 */
export function createRoute(parts: {
  registry: Registry
  /** where a payload by reference is looked up, in this order */
  payloads: readonly Store[]
  held: Store
  policyHash: string
  /** of receipts; asked for each of them with the time that stands on it, because keys are rotated while the gate runs */
  signingKey: (at: number) => SigningKey
  now: () => number
}) {
  const { registry } = parts

  return async function route(examined: Examined): Promise<Routed> {
    const { record, item, payload, judgement } = examined
    const input = record.input
    const key = item.itemId !== null && !judgement.reasons.some(disputesKey) ? item.itemId : coordinatesText(input)
    const verdict = {
      outcome: judgement.outcome,
      reasons: judgement.reasons,
      matches: judgement.matches,
      missing: judgement.missing,
      policyHash: parts.policyHash,
      listVersions: examined.listVersions,
      engineVersion: ENGINE_VERSION,
    }
    const headers = cloudEvent(input, judgement.outcome, record.timestamp)
    const messages: Outgoing[] = []
    const objects: RoutedObject[] = []
    const send = async (topic: Topic, value: unknown, more: Record<string, string> = {}): Promise<void> => {
      messages.push({ topic, key, value: await registry.encode(topic, value), headers: { ...headers, ...more } })
    }

    let heldReference: string | null = null
    if (judgement.outcome === 'clean') {
      await send('gate.clean', clear(examined, objects))
    } else {
      const payloadReference = await holdPayload(examined, objects)
      const original = await container(record)
      heldReference = hash('sha256', original)
      objects.push({ store: 'held', sha256: heldReference, bytes: original })
      const heldItem: HeldItem = { input, itemId: item.itemId, ...verdict, heldReference, payloadReference }
      await send(judgement.outcome === 'review' ? 'gate.review' : 'gate.quarantine', heldItem, {
        'origin-topic': input.topic,
        'origin-partition': String(input.partition),
        'origin-offset': String(input.offset),
        'origin-timestamp': String(record.timestamp),
        reason: judgement.reasons.join(','),
      })
    }
    const claim = claimOf(record.headers, input)
    const verdictRecord: VerdictRecord = {
      input,
      inputTimestamp: record.timestamp,
      itemId: item.itemId,
      judgedAt: parts.now(),
      ...verdict,
      mediaType: examined.mediaType,
      size: payload?.bytes.length ?? null,
      sha256: payload?.sha256 ?? null,
      supplyKind: item.envelope.supply?.kind ?? null,
      supplier: item.envelope.supply?.supplier ?? null,
      dataset: item.envelope.supply?.dataset ?? null,
      attempt: claim?.attempt ?? 0,
      fingerprint: examined.fingerprint,
      heldReference,
      replay: claim === null ? null : { run: claim.run, origin: claim.origin, who: claim.who },
    }
    await send('gate.verdicts', verdictRecord)
    const envelopeRecord: EnvelopeRecord = { input, envelope: item.envelope }
    await send('gate.envelopes', envelopeRecord)
    return {
      offset: input.offset,
      outcome: judgement.outcome,
      reasons: judgement.reasons,
      missing: judgement.missing,
      payloadBytes: payload?.bytes.length ?? 0,
      messages,
      objects,
      bytes: [...messages.map(({ value }) => value), ...objects.map(({ bytes }) => bytes)].reduce(
        (sum, { length }) => sum + length,
        0,
      ),
    }
  }

  /**
   * Keeps the payload under its own name, an inline one too: a message that amends this one refers to it by that. Also one by reference that was
   * not looked at because it is too large or contradicts an inline one.
   * @returns its name there; null where nothing was looked at and the item names none, or one that does not exist or can't be copied
   */
  async function holdPayload({ item, payload }: Examined, objects: RoutedObject[]): Promise<string | null> {
    if (payload !== null) {
      objects.push({ store: 'held', sha256: payload.sha256, bytes: payload.bytes })
      return payload.sha256
    }
    const reference = item.envelope.payload?.reference ?? null
    if (reference === null) return null
    try {
      for (const store of parts.payloads) {
        const name = await parts.held.copy(store, reference, LONGEST_COPY).catch(nullWhenMissing)
        if (name !== null) return name
      }
      return null
    } catch (error) {
      if (error instanceof SluiceError && error.fault === 'item') return null
      throw error
    }
  }

  /** What was hashed goes into the clean store, and is signed for. What lacks an id, bytes or a type can not have been judged clean. */
  function clear(examined: Examined, objects: RoutedObject[]): CleanItem {
    const { record, item, payload, mediaType, listVersions } = examined
    if (item.itemId === null || payload === null || mediaType === null) {
      throw new TypeError('an item without id, payload or media type was judged clean')
    }
    objects.push({ store: 'clean', sha256: payload.sha256, bytes: payload.bytes })
    const { sha256, md5, sha1 } = payload
    const size = payload.bytes.length
    const training = trainingView(item.envelope)
    const signedAt = parts.now()
    const key = parts.signingKey(signedAt)
    const body = receiptBody({
      version: 1,
      verdict: 'clean',
      input: record.input,
      id: item.itemId,
      payload: { md5, sha1, sha256, size, mediaType },
      envelope: { sha256: viewDigest(item.envelope) },
      training: { sha256: viewDigest(training) },
      policyHash: parts.policyHash,
      listVersions,
      engineVersion: ENGINE_VERSION,
      signedAt,
      keyId: key.id,
    })
    return {
      input: record.input,
      id: item.itemId,
      payload: { reference: sha256, size, mediaType },
      training,
      receipt: signDsse(RECEIPT_TYPE, body, key),
    }
  }
}

function disputesKey(reason: Reason): boolean {
  return reason === 'KEY_MISSING' || reason === 'KEY_MISMATCH'
}

/** Attributes of the CloudEvents Kafka binding, binary mode. */
function cloudEvent(input: Coordinates, outcome: string, time: number): Record<string, string> {
  return {
    ce_specversion: '1.0',
    ce_id: coordinatesText(input),
    ce_source: `/sluice/gate/${DOOR}`,
    ce_type: `sluice.item.${outcome}`,
    ce_time: timeText(time),
    'content-type': 'application/avro',
  }
}

/**
 * An Avro object container file with the original record as its one object. The marker between its blocks is derived from
 * the content, so that the same record always makes the same file.
 */
async function container(record: HeldOriginal): Promise<Buffer> {
  const encoder = new avro.streams.BlockEncoder(held, { syncMarker: hash('md5', held.toBuffer(record), 'buffer') })
  encoder.end(record)
  return Buffer.concat(await encoder.toArray())
}
