import { setTimeout as wait } from 'node:timers/promises'
import { crc32, deflateSync } from 'node:zlib'
import type { Message, Producer } from 'kafkajs'
import { createKafka } from '../../services/platform/kafka/client.ts'
import type { Bench } from '../integration/harness.ts'
import { crawlItem, sha256 } from '../integration/items.ts'
import { type Chance, createChance, seededBytes } from './seeded.ts'

/** A kind of item: how often it comes, in parts of all, and what must become of it. */
type Kind = { weight: number; outcome: string; reasons: string; make(bench: Bench, n: number): Promise<Message> }

const KNOWN_PICTURES = 50
/** Numbers of pictures that come again and again, away from those that come once. */
const KNOWN_FROM = 1_000_000_000
const REPEATED_FROM = 2_000_000_000

/** What crawlers send, good and bad, tiny all of it. Names are what is before the dash in an item's id. */
export const kinds: Readonly<Record<string, Kind>> = {
  picture: { weight: 30, outcome: 'clean', reasons: '', make: (bench, n) => inline(bench, `picture-${n}`, tinyPng(n)) },
  again: {
    weight: 10,
    outcome: 'clean',
    reasons: '',
    make: (bench, n) => inline(bench, `again-${n}`, tinyPng(REPEATED_FROM + (n % 20))),
  },
  stored: {
    weight: 8,
    outcome: 'clean',
    reasons: '',
    async make(bench, n) {
      const picture = tinyPng(n)
      await bench.store('intake').write(sha256(picture), picture)
      return await message(bench, `stored-${n}`, { reference: sha256(picture) })
    },
  },
  known: {
    weight: 5,
    outcome: 'quarantine',
    reasons: 'KNOWN_EXACT',
    make: (bench, n) => inline(bench, `known-${n}`, tinyPng(KNOWN_FROM + (n % KNOWN_PICTURES))),
  },
  text: {
    weight: 12,
    outcome: 'quarantine',
    reasons: 'MEDIA_UNSUPPORTED',
    make: (bench, n) => inline(bench, `text-${n}`, Buffer.from(`a text, number ${n}`)),
  },
  cut: {
    weight: 3,
    outcome: 'quarantine',
    reasons: 'MEDIA_INCOMPLETE',
    make: (bench, n) => inline(bench, `cut-${n}`, tinyPng(n).subarray(0, 60)),
  },
  missing: {
    weight: 12,
    outcome: 'quarantine',
    reasons: 'PAYLOAD_MISSING',
    make: (bench, n) => message(bench, `missing-${n}`, { reference: sha256(seededBytes(n)) }),
  },
  wrong: {
    weight: 3,
    outcome: 'quarantine',
    reasons: 'DIGEST_MISMATCH',
    make: (bench, n) => message(bench, `wrong-${n}`, { inline: tinyPng(n) }, { sha256: sha256(seededBytes(n)) }),
  },
  garbage: {
    weight: 14,
    outcome: 'quarantine',
    reasons: 'MESSAGE_UNDECODABLE',
    // A first byte of 0 would be the wire format.
    make: (_, n) => Promise.resolve({ key: `garbage-${n}`, value: Buffer.concat([Buffer.of(255), seededBytes(n)]) }),
  },
  '': {
    weight: 3,
    outcome: 'quarantine',
    reasons: 'KEY_MISSING',
    make: async (bench, n) => ({ ...(await inline(bench, `keyless-${n}`, tinyPng(n))), key: null }),
  },
}

/** What {@link OutcomeCount}'s fates must be made of; anything else is a wrong verdict. */
export const expectedFates: ReadonlySet<string> = new Set(
  Object.entries(kinds).map(([kind, { outcome, reasons }]) => `${kind} ${outcome} ${reasons}`.trim()),
)

/** Puts those on the enforced list that the load takes for known. */
export function importKnown(bench: Bench): Promise<void> {
  const known = Array.from({ length: KNOWN_PICTURES }, (_, n) => ({ sha256: sha256(tinyPng(KNOWN_FROM + n)) }))
  return bench.importList('stand-in', known)
}

export type Load = {
  /** messages that the brokers have confirmed; a few more may be on the door */
  sent(): number
  /** Resolves when what is under way has arrived. */
  stop(): Promise<void>
}

export type LoadOptions = {
  seed: number
  /** Whether more may be made now. @param made so far, sent or about to be */
  wanted(made: number): boolean
}

const PRODUCERS = 3
const MESSAGES = 100

/**
 * Sends items of all {@link kinds} by several producers at once, which go on through everything that happens to the brokers. A message
 * may arrive twice then: on the door that is two items.
 */
export function startLoad(bench: Bench, { seed, wanted }: LoadOptions): Load {
  let stopped = false
  let made = 0
  let sent = 0

  async function produce(chance: Chance): Promise<void> {
    let producer: Producer | null = null
    let batch: Message[] = []
    while (!stopped) {
      if (batch.length === 0 && !wanted(made)) {
        await wait(50)
        continue
      }
      try {
        producer ??= await connected(bench)
        if (batch.length === 0) {
          // One partition a call: the client leaves out partitions whose leader changes during a call for several.
          const partition = chance.between(0, bench.partitions - 1)
          batch = await Promise.all(
            Array.from({ length: MESSAGES }, async () => ({
              ...(await chance.pick(draws).make(bench, made++)),
              partition,
            })),
          )
        }
        await producer.send({ topic: bench.topic('crawl.items'), acks: -1, messages: batch })
        sent += batch.length
        batch = []
      } catch {
        // A broker is being broken: again, with another producer.
        await producer?.disconnect().catch(() => undefined)
        producer = null
        await wait(500)
      }
    }
    await producer?.disconnect().catch(() => undefined)
  }

  const all = Array.from({ length: PRODUCERS }, (_, index) => produce(createChance(seed, `producer ${index}`)))
  return {
    sent: () => sent,
    async stop() {
      stopped = true
      await Promise.all(all)
    },
  }
}

async function connected(bench: Bench): Promise<Producer> {
  const retry = { initialRetryTime: 100, retries: 5 }
  const kafka = createKafka(bench.settings, 'mixed-load', undefined, retry)
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  return producer
}

/** Each kind as often as its weight says. */
const draws = Object.values(kinds).flatMap((kind) => Array.from({ length: kind.weight }, () => kind))

function inline(bench: Bench, id: string, bytes: Buffer): Promise<Message> {
  return message(bench, id, { inline: bytes })
}

async function message(bench: Bench, id: string, ...content: Tail<Parameters<typeof crawlItem>>): Promise<Message> {
  return { key: id, value: await bench.registry.encode('crawl.items', crawlItem(id, ...content)) }
}
type Tail<List extends unknown[]> = List extends [unknown, ...infer Rest] ? Rest : never

/** A picture of its own for every number: grey noise, 16 by 16, as PNG; made without an image library, because thousands are needed. */
function tinyPng(seed: number): Buffer {
  const noise = seededBytes(seed)
  const rows = Array.from({ length: 16 }, (_, row) => [Buffer.of(0), noise.subarray(row * 16, row * 16 + 16)]).flat()
  // Width, height, 8 bits, grey, and the only ways of compressing, filtering and interlacing.
  const header = Buffer.of(0, 0, 0, 16, 0, 0, 0, 16, 8, 0, 0, 0, 0)
  return Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.concat(rows))),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(name: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(name), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}
