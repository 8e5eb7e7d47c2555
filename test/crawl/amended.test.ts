import assert from 'node:assert/strict'
import { test } from 'node:test'
import { amended } from '../../services/crawl/amend/amended.ts'
import { SidecarError } from '../../services/crawl/sidecar.ts'
import { acquisition, emptyEnvelope, supply } from '../../services/domain/envelope.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { schemaType } from '../../services/platform/avro.ts'

const amendment = { source: 'letter', addedBy: 'A. Example', addedAt: 1, original: 'c/crawl.items/0/1' }
const type = schemaType('envelope')

/** As it comes from the topic: records with prototypes of their own. */
function read(known: Partial<Envelope>): Envelope {
  const input = { cluster: 'c', topic: 'crawl.items', partition: 0, offset: 1 }
  const item = { id: 'item-1', mediaTypeClaimed: null, collectedAt: null }
  const envelope = { ...emptyEnvelope(), item, extra: { forum: 'x' }, ...known }
  return type.fromBuffer(type.toBuffer({ input, envelope })).envelope
}

const add = (envelope: Envelope, fields: Record<string, unknown>): Envelope | null =>
  amended(envelope, new Map(Object.entries(fields)), amendment)

test('what is missing is filled in, in groups that are there and in those that are not; the rest stays', () => {
  const before = read({ supply: supply({ kind: 'licensed', supplier: 'b' }) })
  const after = add(before, {
    'supply.contract': '17',
    'acquisition.requestedUrl': 'https://example.org/',
    'item.collectedAt': 5,
  })
  assert.ok(after)
  const { amendments, ...rest } = JSON.parse(JSON.stringify(after))
  const { amendments: _, ...expected } = JSON.parse(JSON.stringify(before))
  assert.deepEqual(rest, {
    ...expected,
    item: { ...expected.item, collectedAt: 5 },
    supply: { ...expected.supply, contract: '17' },
    acquisition: acquisition({ requestedUrl: 'https://example.org/' }),
  })
  assert.deepEqual(amendments, [
    { fields: ['supply.contract', 'acquisition.requestedUrl', 'item.collectedAt'], ...amendment },
  ])
  const again = add(after, { 'rights.licence': 'CC0-1.0' })
  assert.deepEqual(
    again?.amendments.map(({ fields }) => fields.length),
    [3, 1],
  )
})

test('what is told already is not added again, lists and headers too', () => {
  const responseHeaders = [{ name: 'etag', value: 'x' }]
  const before = read({ acquisition: acquisition({ responseHeaders, redirects: ['https://example.org/'] }) })
  const same = { 'acquisition.responseHeaders': responseHeaders, 'acquisition.redirects': ['https://example.org/'] }
  assert.equal(add(before, same), null)
  assert.deepEqual(add(before, { ...same, 'acquisition.status': 200 })?.amendments[0]?.fields, ['acquisition.status'])
})

const refused: ReadonlyArray<readonly [what: string, fields: Record<string, unknown>, field: string]> = [
  ['contradicts what is told', { 'supply.supplier': 'c' }, 'supply.supplier'],
  ['contradicts a list that is told', { 'acquisition.redirects': ['https://example.org/b'] }, 'acquisition.redirects'],
]
for (const [what, fields, field] of refused) {
  test(`a fact that ${what} is refused, naming the field alone`, () => {
    const before = read({
      supply: supply({ kind: 'licensed', supplier: 'b' }),
      acquisition: acquisition({ redirects: ['https://example.org/a'] }),
    })
    assert.throws(
      () => add(before, { ...fields, 'rights.licence': 'x' }),
      (error) => error instanceof SidecarError && error.field === field && !/example|"c"/.test(error.message),
    )
  })
}

test('a supplier without a supply kind is refused where neither tells the kind, and a blank text is no fact', () => {
  assert.throws(
    () => add(read({}), { 'supply.supplier': 'b' }),
    (error) => error instanceof SidecarError && error.field === 'supply.kind',
  )
  assert.equal(
    add(read({ supply: supply({ kind: 'licensed', supplier: ' ' }) }), { 'supply.supplier': 'b' })?.supply?.supplier,
    'b',
  )
})
