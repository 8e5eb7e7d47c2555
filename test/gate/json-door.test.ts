import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { acquisition, emptyEnvelope, origin } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { decodeJson } from '../../services/domain/json-item.ts'
import { type DoorItem, type DoorRecord, readItem } from '../../services/gate/door.ts'
import { schemaType } from '../../services/platform/avro.ts'

/** JSON needs no registry; Avro would ask it, and here hear that there is none. */
const registry = {
  decode: () => Promise.reject(new SluiceError('REGISTRY_UNREACHABLE')),
}

const ID = 'picture-1'
const BYTES = Buffer.from('the bytes of a picture')

type Headers = Array<readonly [name: string, value: string | Buffer | null]>

function record(value: unknown, headers: Headers = [['content-type', 'application/json']], key = ID): DoorRecord {
  return {
    input: { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 0 },
    timestamp: 0,
    key: Buffer.from(key),
    value: Buffer.isBuffer(value) ? value : Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
    headers: headers.map(([name, text]) => ({ name, value: text === null ? null : Buffer.from(text) })),
  }
}

function read(...[value, headers, key]: Parameters<typeof record>): Promise<DoorItem> {
  return readItem(registry, record(value, headers, key))
}

/** A message that tells no more than its id, and what is given. */
function message(more: object = {}, envelope: object = {}): Record<string, unknown> {
  return { envelope: { item: { id: ID }, ...envelope }, inline: BYTES.toString('base64'), ...more }
}

const barest = { ...emptyEnvelope(), item: { id: ID, mediaTypeClaimed: null, collectedAt: null } }

test('a message of JSON is an item: what it leaves out is null, its payload is the bytes behind the base64', async () => {
  assert.deepEqual(await read(message()), {
    readable: true,
    itemId: ID,
    envelope: barest,
    inline: BYTES,
    faults: [],
  })
  const { envelope, inline } = await read({
    envelope: {
      item: { id: ID, collectedAt: 1_767_225_600_000 },
      payload: { reference: 'a'.repeat(64), size: 5 },
      acquisition: {
        status: 200,
        redirects: ['https://example.org/a'],
        responseHeaders: [{ name: 'etag', value: '"1"' }],
      },
      origin: { caption: 'Boote im Hafen – höchst schön 🚤' },
      supply: null,
      extra: { shelf: '3' },
    },
  })
  assert.equal(inline, null)
  assert.deepEqual(envelope, {
    ...barest,
    item: { id: ID, mediaTypeClaimed: null, collectedAt: 1_767_225_600_000 },
    payload: { reference: 'a'.repeat(64), size: 5, md5: null, sha1: null, sha256: null },
    acquisition: acquisition({
      status: 200,
      redirects: ['https://example.org/a'],
      responseHeaders: [{ name: 'etag', value: '"1"' }],
    }),
    origin: origin({ caption: 'Boote im Hafen – höchst schön 🚤' }),
    extra: { shelf: '3' },
  })
})

test('what the schema does not know is kept in extra by its dotted path, with every digit', async () => {
  const text = `{"priority": 1.50, "envelope": {"mood": {"word": "odd"}, "item": {"id": "${ID}", "likes": 12345678901234567890},
    "origin": {"constructor": [null, 0.12345678901234567890]}, "extra": {"mood": "the crawler's own"}}}`
  const { envelope, faults } = await read(text)
  assert.deepEqual(faults, [])
  assert.deepEqual(envelope.extra, {
    mood: "the crawler's own",
    mood_: '{"word":"odd"}',
    priority: '1.50',
    'item.likes': '12345678901234567890',
    'origin.constructor': '[null,0.12345678901234567890]',
  })
})

const forms: Array<[contentType: string, isJson: boolean]> = [
  ['application/json', true],
  ['application/json; charset=utf-8', true],
  ['Application/JSON;charset="UTF-8"', true],
  [' application/json ', true],
  ['application/avro', false],
  ['application/jsonl', false],
  ['text/html', false],
  ['', false],
  [`application/json;${' '.repeat(300)}`, false],
]
for (const [contentType, isJson] of forms) {
  test(`the content type "${contentType.slice(0, 40)}" is read as ${isJson ? 'JSON' : 'Avro'}`, async () => {
    const reading = read(message(), [['Content-Type', contentType]])
    if (isJson) assert.equal((await reading).readable, true)
    else await assert.rejects(reading, { code: 'REGISTRY_UNREACHABLE' })
  })
}

test('a message without content type is read as Avro', async () => {
  await assert.rejects(read(message(), []), { code: 'REGISTRY_UNREACHABLE' })
  await assert.rejects(read(message(), [['content-type', null]]), { code: 'REGISTRY_UNREACHABLE' })
})

const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const told = (envelope: string, more = '') => `{"envelope": {"item": {"id": "${ID}"}${envelope}}${more}}`

/** What is wrong, the message, and what a developer is told of it. */
const undecodable: Array<[what: string, value: string | Buffer, told: RegExp]> = [
  ['nothing at all', '', /expected JSON/],
  ['no JSON', 'picture', /expected JSON/],
  ['JSON that is cut short', told('').slice(0, -1), /expected JSON/],
  ['JSON that ends in a string', '{"envelope', /expected JSON/],
  ['two values', '{} {}', /expected JSON/],
  ['a list', '[]', /the whole: expected object/],
  ['null', 'null', /the whole: expected object/],
  ['no envelope', '{"inline": null}', /envelope: expected object/],
  ['an item without id', '{"envelope": {"item": {}}}', /envelope\.item\.id: expected string/],
  ['an id that is a number', '{"envelope": {"item": {"id": 7}}}', /envelope\.item\.id: expected string/],
  ['a number for a text', told(', "origin": {"pageUrl": 1}'), /envelope\.origin\.pageUrl: expected string/],
  ['a text for a number', told(', "payload": {"size": "1"}'), /envelope\.payload\.size: expected/],
  ['a number where a group should be', told(', "origin": 1.50'), /envelope\.origin: expected object/],
  ['a number with a fraction', told(', "item_": 1, "liveness": {"lastSeenAt": 1.5}'), /milliseconds since the epoch/],
  ['a number beyond 32 bits', told(', "acquisition": {"status": 3000000000}'), /envelope\.acquisition\.status/],
  [
    'a number beyond what is exact',
    told(', "supply": {"kind": "x", "row": 9007199254740993}'),
    /envelope\.supply\.row/,
  ],
  ['null for a list', told(', "acquisition": {"redirects": null}'), /envelope\.acquisition\.redirects: expected array/],
  ['a list with a number', told(', "acquisition": {"redirects": [1]}'), /envelope\.acquisition\.redirects\.0/],
  [
    'more in a header',
    told(', "acquisition": {"responseHeaders": [{"name": "a", "value": "b", "secret-word": 1}]}'),
    /does not belong/,
  ],
  ['an extra that is no text', told(', "extra": {"secret-word": 1}'), /envelope\.extra: expected string/],
  ['inline that is a number', told('', ', "inline": 5'), /inline: expected string/],
  ['base64 with other letters', told('', ', "inline": "a-_="'), /inline: expected base64/],
  ['base64 with blanks', told('', ', "inline": "YW Jj"'), /inline: expected base64/],
  ['base64 without padding', told('', ', "inline": "YQ"'), /inline: expected base64/],
  ['base64 that is cut short', told('', ', "inline": "YWJjZ"'), /inline: expected base64/],
  ['a name twice', `{"envelope": {}, "envelope": {"item": {"id": "${ID}"}}}`, /each name of an object once/],
  ['a name twice, once with an escape', told(', "extra": {"a": "1", "\\u0061": "2"}'), /each name of an object once/],
  ['__proto__', told(', "origin": {"__proto__": {"pageUrl": "https://example.org"}}'), /no name __proto__/],
  ['__proto__ with an escape', told(', "extra": {"__proto\\u005f_": "1"}'), /no name __proto__/],
  ['seventeen brackets in each other', told(`, "x": ${deep(15)}`), /at most 16 brackets/],
  ['a million brackets in each other', deep(1_000_000), /at most 16 brackets/],
  [
    'what is no UTF-8',
    Buffer.concat([Buffer.from(told(', "x": "').slice(0, -2)), Buffer.from('ff227d7d', 'hex')]),
    /expected UTF-8/,
  ],
  [
    'ten thousand redirects and more',
    told(`, "acquisition": {"redirects": [${'"",'.repeat(10_000)}""]}`),
    /at most 10000 values/,
  ],
  ['a million lists', told(`, "x": [${'[],'.repeat(1_000_000)}0]`), /at most 10000 values/],
  ['UTF-16', Buffer.from(told(''), 'utf16le'), /expected JSON/],
  ['Avro', Buffer.from('000000000102', 'hex'), /expected JSON/],
]
for (const [what, value, expected] of undecodable) {
  test(`JSON with ${what} is undecodable, and says what was expected`, async () => {
    assert.deepEqual(await read(value), {
      readable: false,
      itemId: null,
      envelope: emptyEnvelope(),
      inline: null,
      faults: ['MESSAGE_UNDECODABLE'],
    })
    assert.throws(
      () => decodeJson(Buffer.from(value)),
      (error) =>
        error instanceof SluiceError &&
        error.code === 'MESSAGE_UNDECODABLE' &&
        expected.test(error.message) &&
        !error.message.includes('secret-word'),
    )
  })
}

test('names repeated in different objects, texts like names and brackets in texts are plain JSON', async () => {
  const { envelope } = await read(
    told(
      `, "origin": {"caption": "a \\\\\\" } ] \\" : {{{{{{{{{{{{{{{{{{{{"}, "x": ["a", "a", {"a": {"a": "a"}}, {"a": 1}], "y": ${deep(14)}`,
    ),
  )
  assert.equal(envelope.origin?.caption, 'a \\" } ] " : {{{{{{{{{{{{{{{{{{{{')
  assert.deepEqual(Object.keys(envelope.extra), ['x', 'y'])
})

test('an id that is malformed, missing or another than the key is the same fault as in Avro', async () => {
  assert.deepEqual((await read({ envelope: {} })).faults, ['ITEM_ID_INVALID'])
  assert.deepEqual((await read({ envelope: { item: { id: 'a/b' } } })).faults, ['ITEM_ID_INVALID'])
  assert.deepEqual((await read(message(), undefined, 'another')).faults, ['KEY_MISMATCH'])
})

test('whatever JSON comes, it is undecodable or an item that the schemas of the gate can hold', async () => {
  const type = schemaType('crawl-item')
  const field = fc.constantFrom(
    'id',
    'kind',
    'status',
    'pageUrl',
    'redirects',
    'size',
    'more',
    'toString',
    'addedAt',
    'row',
  )
  const names = ['item', 'payload', 'acquisition', 'origin', 'supply', 'liveness', 'amendments', 'extra', 'toString']
  const envelope = fc.dictionary(
    fc.constantFrom(...names),
    fc.oneof(fc.dictionary(field, fc.jsonValue()), fc.jsonValue()),
  )
  const item = fc.record(
    { envelope, inline: fc.oneof(fc.base64String(), fc.constant(null), fc.jsonValue()) },
    { requiredKeys: [] },
  )
  await fc.assert(
    fc.asyncProperty(fc.oneof(item, fc.jsonValue()), async (value) => {
      const { readable, envelope, inline, faults } = await read(value)
      return readable ? type.isValid({ envelope, inline }) : faults.includes('MESSAGE_UNDECODABLE')
    }),
    { numRuns: 2000 },
  )
})

const json = ['content-type', 'application/json'] as const

const traces: Array<[what: string, headers: Headers, extra: Record<string, string>]> = [
  ['no event', [], {}],
  [
    "a crawler's own event",
    [
      ['ce_specversion', '1.0'],
      ['ce_type', 'org.example.picture'],
      ['ce_source', 'https://crawler.example.org/7'],
      ['ce_id', 'e-1'],
      ['ce_time', '2026-01-01T00:00:00Z'],
      ['ce_subject', ID],
      ['ce_traceparent', '00-1'],
    ],
    {
      'cloudevents.source': 'https://crawler.example.org/7',
      'cloudevents.id': 'e-1',
      'cloudevents.time': '2026-01-01T00:00:00Z',
    },
  ],
  [
    'a later version of CloudEvents',
    [
      ['ce_specversion', '2.0'],
      ['ce_id', 'e-1'],
    ],
    { 'cloudevents.id': 'e-1' },
  ],
  [
    'our own event',
    [
      ['ce_type', 'sluice.crawl.item.v1'],
      ['ce_source', '/x'],
      ['ce_id', 'e-1'],
    ],
    {},
  ],
  [
    'a source that is too long',
    [
      ['ce_source', 's'.repeat(257)],
      ['ce_id', 'i'.repeat(256)],
    ],
    { 'cloudevents.id': 'i'.repeat(256) },
  ],
  [
    'attributes without value',
    [
      ['ce_source', null],
      ['ce_id', ''],
    ],
    {},
  ],
  [
    'an id twice',
    [
      ['ce_id', 'first'],
      ['ce_id', 'second'],
    ],
    { 'cloudevents.id': 'first' },
  ],
]
for (const [what, headers, extra] of traces) {
  test(`of ${what}, extra keeps ${Object.keys(extra).join(', ') || 'nothing'}, and the envelope is else unchanged`, async () => {
    const { envelope, faults } = await read(message(), [json, ...headers])
    assert.deepEqual(faults, [])
    assert.deepEqual(envelope, { ...barest, extra })
  })
}

test('what an item has kept of its first event is not replaced when it comes again', async () => {
  const { envelope } = await read(message({}, { extra: { 'cloudevents.id': 'first' } }), [json, ['ce_id', 'second']])
  assert.deepEqual(envelope.extra, { 'cloudevents.id': 'first' })
})

test('an event about another item is a fault of the item, and where a subject is repeated each must be right', async () => {
  const faultsOf = async (headers: Headers) => (await read(message(), [json, ...headers])).faults
  assert.deepEqual(await faultsOf([['ce_subject', 'another']]), ['SUBJECT_MISMATCH'])
  assert.deepEqual(await faultsOf([['ce_subject', '']]), ['SUBJECT_MISMATCH'])
  assert.deepEqual(
    await faultsOf([
      ['ce_subject', ID],
      ['ce_subject', 'another'],
    ]),
    ['SUBJECT_MISMATCH'],
  )
  assert.deepEqual(
    await faultsOf([
      ['ce_subject', ID],
      ['ce_subject', ID],
    ]),
    [],
  )
})

test('an event of structured mode is read by its data, and traced by its attributes', async () => {
  const structured: Headers = [['content-type', 'application/cloudevents+json; charset=UTF-8']]
  const event = {
    specversion: '1.0',
    id: 'e-1',
    source: '/mine',
    type: 'org.example.picture',
    data: message({ more: 1.5 }),
  }
  const { envelope, inline, faults } = await read({ ...event, subject: ID, traceparent: '00-1' }, structured)
  assert.deepEqual(faults, [])
  assert.deepEqual(inline, BYTES)
  assert.deepEqual(envelope, {
    ...barest,
    extra: { 'cloudevents.source': '/mine', 'cloudevents.id': 'e-1', more: '1.5' },
  })
  assert.deepEqual((await read({ ...event, subject: 'another' }, structured)).faults, ['SUBJECT_MISMATCH'])
  for (const wrong of [message(), { ...event, data: undefined }, { ...event, data: 'text' }, { ...event, id: 1 }]) {
    assert.deepEqual((await read(wrong, structured)).faults, ['MESSAGE_UNDECODABLE'])
  }
})
