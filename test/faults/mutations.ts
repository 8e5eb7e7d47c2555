import type { Chance } from './seeded.ts'

/** A message on its way to the door. */
export type Mutable = {
  key: Buffer | null
  value: Buffer | null
  headers: Array<[string, Buffer | null]>
}

/** Changes a message in place, one way. @param others values of valid messages */
type Mutation = (message: Mutable, chance: Chance, others: readonly Buffer[]) => void

/** Where the Confluent wire format ends and Avro begins. */
const BODY = 5
const LONGEST_HEADER = 1_000_000
const oddText = ['\u0000', '\u001b[2J', '\r\n{"level":60}', '\u202e', '\ud800', '\ufffd', '💥', '__proto__', '%00', '']

/** Applies `change` to the value's body, where there is one. */
function body(change: (body: Buffer, chance: Chance, others: readonly Buffer[]) => Buffer): Mutation {
  return (message, chance, others) => {
    if (message.value === null || message.value.length <= BODY) return
    const [head, rest] = [message.value.subarray(0, BODY), message.value.subarray(BODY)]
    message.value = Buffer.concat([head, change(Buffer.from(rest), chance, others)])
  }
}

/** Most of a message is payload and text: a third is among the first bytes, a third where a small number stands, as lengths, counts and unions are. */
function place(bytes: Buffer, chance: Chance): number {
  const end = Math.max(0, bytes.length - 1)
  const third = chance.between(1, 3)
  if (third === 1) return chance.between(0, Math.min(40, end))
  const small = [...bytes.keys()].filter((at) => (bytes[at] ?? 0) <= 8)
  return third === 2 && small.length > 0 ? chance.pick(small) : chance.between(0, end)
}

function put(bytes: Buffer, at: number, part: Buffer, instead: number): Buffer {
  return Buffer.concat([bytes.subarray(0, at), part, bytes.subarray(at + instead)])
}

function noise(length: number, chance: Chance): Buffer {
  return Buffer.from(Array.from({ length }, () => chance.between(0, 255)))
}

export const mutations: Readonly<Record<string, Mutation>> = {
  'a bit flipped': body((bytes, chance) => {
    const at = place(bytes, chance)
    bytes[at] = (bytes[at] ?? 0) ^ (1 << chance.between(0, 7))
    return bytes
  }),
  'a byte replaced': body((bytes, chance) => put(bytes, place(bytes, chance), noise(1, chance), 1)),
  'a small number in the place of another': body((bytes, chance) =>
    put(bytes, place(bytes, chance), Buffer.of(chance.between(0, 8)), 1),
  ),
  'a length or count inflated': body((bytes, chance) =>
    put(bytes, place(bytes, chance), Buffer.from(`${'fe'.repeat(chance.between(1, 9))}0f`, 'hex'), 1),
  ),
  'a length or count turned negative': body((bytes, chance) =>
    put(bytes, place(bytes, chance), Buffer.from(`${'ff'.repeat(chance.between(0, 9))}01`, 'hex'), 1),
  ),
  'bytes put in': body((bytes, chance) => put(bytes, place(bytes, chance), noise(chance.between(1, 20), chance), 0)),
  'bytes taken out': body((bytes, chance) => put(bytes, place(bytes, chance), Buffer.of(), chance.between(1, 20))),
  'the end cut off': body((bytes, chance) => bytes.subarray(0, place(bytes, chance))),
  'a part doubled': body((bytes, chance) => {
    const at = place(bytes, chance)
    return put(bytes, at, bytes.subarray(at, at + chance.between(1, 200)), 0)
  }),
  'half of another message': body((bytes, chance, others) =>
    Buffer.concat([bytes.subarray(0, place(bytes, chance)), chance.pick(others).subarray(BODY + place(bytes, chance))]),
  ),
  'another schema id': (message, chance) => {
    if (message.value === null || message.value.length < BODY) return
    message.value = Buffer.from(message.value)
    message.value.writeInt32BE(chance.pick([0, 1, 2, 3, 4, 5, -1, 2_147_483_647, chance.between(0, 200)]), 1)
  },
  'another first byte': (message, chance) => {
    if (message.value !== null) message.value = Buffer.concat([noise(1, chance), message.value.subarray(1)])
  },
  'noise for a value': (message, chance) => {
    message.value = noise(chance.between(0, 300), chance)
  },
  'no value': (message) => {
    message.value = null
  },
  'no key': (message) => {
    message.key = null
  },
  'another key': (message, chance) => {
    message.key = chance.pick([
      noise(chance.between(0, 80), chance),
      Buffer.alloc(4),
      Buffer.from(chance.pick(oddText)),
    ])
  },
  'headers with odd names': (message, chance) => {
    for (let n = chance.between(1, 20); n > 0; n--) {
      // An unpaired surrogate can't be sent as text.
      const name =
        `${chance.pick(oddText)}${chance.pick(['traceparent', 'ce_id', ''])}${chance.pick(oddText)}`.toWellFormed()
      message.headers.push([name, chance.next() < 0.2 ? null : noise(chance.between(0, 50), chance)])
    }
  },
  'headers that are many, and all the same': (message, chance) => {
    const count = chance.next() < 0.02 ? 5000 : chance.between(10, 100)
    for (let n = 0; n < count; n++) message.headers.push(['ce_id', Buffer.of(n % 256)])
  },
  'another content type': (message, chance) => {
    const type = chance.pick(['application/json', 'application/cloudevents+json', 'text/html'])
    message.headers.push(['content-type', Buffer.from(type)])
  },
  'a header that is long': (message, chance) => {
    const length = chance.next() < 0.05 ? LONGEST_HEADER : chance.between(100, 5000)
    const isName = chance.next() < 0.5
    message.headers.push([isName ? '\u0007'.repeat(length) : 'long', isName ? null : Buffer.alloc(length, 0x1b)])
  },
  'headers that ask for mercy': (message) => {
    for (const [name, text] of [
      ['outcome', 'clean'],
      ['reason', ''],
      ['sluice-trust', 'full'],
      ['replay', 'true'],
    ] as const) {
      message.headers.push([name, Buffer.from(text)])
    }
  },
}
