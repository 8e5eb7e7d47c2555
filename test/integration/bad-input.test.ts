import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import avro from 'avsc'
import { acquisition } from '../../services/domain/envelope.ts'
import type { ItemFault } from '../../services/domain/reasons.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import { produceForeign, type RawRecord, readStore, skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from './audit.ts'
import { type Bench, openBench } from './harness.ts'
import { crawlItem, photograph, sha256, tinyPicture } from './items.ts'
import { waitFor } from './waiting.ts'

const LONGEST_PAYLOAD = 2_000_000
/** Stands nowhere else in a message. */
const UNLIKELY = 1_234_567_891
const number = avro.Type.forSchema('long')

type BadInput = {
  what: string
  reasons: ItemFault[]
  key: Buffer | null
  value: Buffer | null
  headers?: RawRecord['headers']
  /** the payload by reference that must be in the held store */
  keeps?: Buffer
}

/** Each with a partition of its own choosing, a good item before it and one behind it. */
async function badInputs(bench: Bench): Promise<BadInput[]> {
  const good = await tinyPicture(1)
  const jpeg = photograph('nagasaki-boats')
  const text = Buffer.from('This is no picture, whatever it is called.\n'.repeat(20))
  const large = randomBytes(LONGEST_PAYLOAD + 1)
  await bench.store('intake').write(sha256(large), large)
  await bench.store('intake').write(sha256(good), good)
  // What the references below would lead to if they were followed.
  await mkdir(bench.storeFolder('clean'), { recursive: true })
  await writeFile(join(bench.settings.stores, 'x'), good)
  await writeFile(join(bench.folder, 'x'), good)

  const encode = (item: CrawlItem): Promise<Buffer> => bench.registry.encode('crawl.items', item)
  const goodValue = await encode(crawlItem('good', { inline: good }))
  const withId = (id: number, body: Buffer): Buffer => {
    const header = Buffer.alloc(5)
    header.writeInt32BE(id, 1)
    return Buffer.concat([header, body])
  }
  const foreignId = (
    await bench.registry.encode('gate.envelopes', {
      input: { cluster: '', topic: '', partition: 0, offset: 0 },
      envelope: crawlItem('foreign', {}).envelope,
    })
  ).readInt32BE(1)

  const inputs: BadInput[] = []
  const add = (
    what: string,
    reasons: ItemFault[],
    key: string | Buffer | null,
    value: Buffer | null,
    headers?: RawRecord['headers'],
  ): void => {
    inputs.push({
      what,
      reasons,
      key: typeof key === 'string' ? Buffer.from(key) : key,
      value,
      ...(headers ? { headers } : {}),
    })
  }
  const addItem = async (
    what: string,
    reasons: ItemFault[],
    ...[content, claims]: [Parameters<typeof crawlItem>[1], Parameters<typeof crawlItem>[2]?]
  ): Promise<void> => {
    const id = what.replaceAll(/[^a-z0-9]+/g, '-')
    const keeps = [good, large].find((bytes) => content.reference === sha256(bytes))
    const value = await encode(crawlItem(id, content, claims))
    inputs.push({ what, reasons, key: Buffer.from(id), value, ...(keeps ? { keeps } : {}) })
  }

  add('random bytes', ['MESSAGE_UNDECODABLE'], 'random', Buffer.concat([Buffer.of(7), randomBytes(300)]))
  add(
    'random bytes behind a schema id that is right',
    ['MESSAGE_UNDECODABLE'],
    'random-body',
    withId(goodValue.readInt32BE(1), randomBytes(300)),
  )
  const numbered = crawlItem('good', { inline: good })
  numbered.envelope.acquisition = acquisition({ status: UNLIKELY })
  add(
    'a number beyond 32 bits where the schema has 32',
    ['MESSAGE_UNDECODABLE'],
    'good',
    replaced(await encode(numbered), number.toBuffer(UNLIKELY), number.toBuffer(2 ** 40)),
  )
  add('a value of no bytes', ['MESSAGE_UNDECODABLE'], 'empty-value', Buffer.alloc(0))
  add('a value of four bytes', ['MESSAGE_UNDECODABLE'], 'short-value', Buffer.alloc(4))
  add('a value that ends too early', ['MESSAGE_UNDECODABLE'], 'good', goodValue.subarray(0, -10))
  add('a value with a byte too many', ['MESSAGE_UNDECODABLE'], 'good', Buffer.concat([goodValue, Buffer.of(0)]))
  add(
    'ten bytes that announce two thousand million strings',
    ['MESSAGE_UNDECODABLE'],
    'huge-count',
    withId(goodValue.readInt32BE(1), hugeCount()),
  )
  add('a null value', ['VALUE_MISSING'], 'null-value', null)
  add('a null key', ['KEY_MISSING'], null, goodValue)
  add('a null key and a null value', ['KEY_MISSING', 'VALUE_MISSING'], null, null)
  add('a key that is not the id', ['KEY_MISMATCH'], 'another', goodValue)
  add('a key of four zero bytes', ['KEY_MISMATCH'], Buffer.alloc(4), goodValue)
  add('a malformed id', ['ITEM_ID_INVALID'], 'a b/../c', await encode(crawlItem('a b/../c', { inline: good })))
  add('the schema id of another subject', ['SCHEMA_FOREIGN'], 'foreign', withId(foreignId, goodValue.subarray(5)))
  add('an unknown schema id', ['SCHEMA_FOREIGN'], 'unknown', withId(2_147_483_647, goodValue.subarray(5)))
  const jsonType: RawRecord['headers'] = [['content-type', Buffer.from('application/json')]]
  add(
    'JSON without content type',
    ['MESSAGE_UNDECODABLE'],
    'json',
    Buffer.from('{"envelope": {"item": {"id": "json"}}}'),
  )
  add('Avro that is called JSON', ['MESSAGE_UNDECODABLE'], 'good', goodValue, jsonType)
  add('half a message of JSON', ['MESSAGE_UNDECODABLE'], 'json', Buffer.from('{"envelope": {"item":'), jsonType)
  add('an event about another item', ['SUBJECT_MISMATCH'], 'good', goodValue, [['ce_subject', Buffer.from('other')]])
  await addItem('a payload of no bytes', ['PAYLOAD_EMPTY'], { inline: Buffer.alloc(0) })
  await addItem('a wrong sha256', ['DIGEST_MISMATCH'], { inline: good }, { sha256: sha256(text) })
  await addItem('a wrong md5', ['DIGEST_MISMATCH'], { inline: good }, { md5: '0'.repeat(32) })
  await addItem('a wrong size', ['SIZE_MISMATCH'], { inline: good }, { size: good.length + 1 })
  await addItem('no payload at all', ['PAYLOAD_MISSING'], {})
  await addItem('a reference to nothing', ['PAYLOAD_MISSING'], { reference: sha256(Buffer.from('nothing')) })
  await addItem('a reference that climbs out of the store', ['REFERENCE_INVALID'], { reference: '../../x' })
  await addItem('a reference of the right length that climbs', ['REFERENCE_INVALID'], {
    reference: `../${'./'.repeat(30)}x`.padEnd(64, 'x'),
  })
  await addItem('both inline and by reference', ['PAYLOAD_AMBIGUOUS'], { inline: good, reference: sha256(good) })
  await addItem('a payload by reference that is too large', ['PAYLOAD_TOO_LARGE'], { reference: sha256(large) })
  await addItem('a truncated jpeg', ['MEDIA_INCOMPLETE'], { inline: jpeg.subarray(0, jpeg.length >> 1) })
  await addItem('the first bytes of a jpeg', ['MEDIA_UNDECODABLE'], { inline: jpeg.subarray(0, 20) })
  await addItem('a text called jpg', ['MEDIA_UNSUPPORTED'], { inline: text })
  add(
    'eight thousand headers',
    ['MEDIA_UNSUPPORTED'],
    'many-headers',
    await encode(crawlItem('many-headers', { inline: text })),
    Array.from({ length: 8000 }, (_, index): [string, Buffer | null] => [`h${index}`, null]),
  )
  add(
    'headers that an object would lose or mix up',
    ['MEDIA_UNSUPPORTED'],
    'headers',
    await encode(crawlItem('headers', { inline: text })),
    [
      ['z', Buffer.from('1')],
      ['a', Buffer.from('2')],
      ['z', Buffer.from('3')],
      ['constructor', Buffer.from('4')],
      ['__proto__', Buffer.from('5')],
      ['__proto__', Buffer.from('6')],
      ['', Buffer.from('7')],
      ['10', Buffer.alloc(0)],
      ['9', null],
      ['null-twice', null],
      ['null-twice', null],
      ['not-text', Buffer.of(0xff, 0x00, 0xfe)],
    ],
  )
  return inputs
}

/** The envelope's groups are null up to acquisition, whose redirects announce 2^31 - 1 strings. */
function hugeCount(): Buffer {
  return Buffer.from([0, 0, 2, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f])
}

function replaced(value: Buffer, part: Buffer, by: Buffer): Buffer {
  const at = value.indexOf(part)
  assert.ok(at >= 0)
  return Buffer.concat([value.subarray(0, at), by, value.subarray(at + part.length)])
}

test('bad input has one outcome, never clean, its reason, and is kept to the byte; the gate goes on', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { payloadBytes: LONGEST_PAYLOAD })
  await bench.importList('stand-in', [{ sha256: sha256(Buffer.from('known')) }])
  const inputs = await badInputs(bench)
  const goodItem = async (id: string): Promise<Pick<RawRecord, 'key' | 'value'>> => ({
    key: Buffer.from(id),
    value: await bench.registry.encode('crawl.items', crawlItem(id, { inline: await tinyPicture(2) })),
  })

  // Each input lies between good items of its partition; in which one it is found again by place.
  const records: RawRecord[] = []
  for (const [index, { key, value, headers = [] }] of inputs.entries()) {
    const place = { topic: bench.topic('crawl.items'), partition: index % bench.partitions }
    records.push({ ...place, key, value, headers }, { ...place, ...(await goodItem(`behind-${index}`)) })
  }
  const gate = bench.startGate()
  await gate.untilReady()
  const offsets = await produceForeign(bench.settings, records)
  await waitFor('the gate has caught up', () => bench.caughtUp())
  assert.ok(gate.running(), 'the gate is still there')
  await bench.stopGate(gate)

  const fates = await audit(bench)
  assert.equal(fates.length, records.length)
  const held = new Map((await readStore(bench.storeFolder('held'))).map((object) => [object.name, object]))
  for (const [index, input] of inputs.entries()) {
    const fateAt = (place: number) =>
      fates.find(({ door }) => door.partition === records[place]?.partition && door.offset === offsets[place])
    await t.test(input.what, () => {
      const fate = fateAt(2 * index)
      assert.ok(fate?.held, 'it is held')
      assert.deepEqual([fate.outcome, fate.reasons], ['quarantine', input.reasons])
      const original = held.get(fate.held.heldReference)
      assert.equal(original?.sha256, fate.held.heldReference)
      assert.ok(original?.record)
      assert.deepEqual(original.record.input, fate.verdict.input)
      assert.equal(original.record.timestamp, fate.door.timestamp)
      assert.equal(original.record.key?.sha256, input.key === null ? undefined : sha256(input.key))
      assert.equal(original.record.value?.sha256, input.value === null ? undefined : sha256(input.value))
      assert.equal(original.record.value?.sha256 ?? null, fate.door.valueSha256)
      assert.deepEqual(
        original.record.headers.map(({ name, value }) => [name, value]),
        (input.headers ?? []).map(([name, value]) => [name, value?.toString('base64') ?? null]),
      )
      const kept = input.keeps === undefined ? fate.verdict.sha256 : sha256(input.keeps)
      assert.equal(
        fate.held.payloadReference,
        kept,
        'a payload that was looked at, or is by reference, is kept with it',
      )
      if (kept !== null) assert.equal(held.get(kept)?.sha256, kept)
      assert.equal(fateAt(2 * index + 1)?.outcome, 'clean', 'the good item behind it')
    })
  }
})
