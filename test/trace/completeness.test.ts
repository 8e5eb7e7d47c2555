import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acquisition, emptyEnvelope, origin, supply } from '../../services/domain/envelope.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { createCompleteness } from '../../services/trace/completeness.ts'
import { gapLine, gapOf, gapsHeader } from '../../services/trace/gaps.ts'
import { shippedProvenance } from '../integration/harness.ts'

const policy = { provenance: shippedProvenance() }

function envelope(known: Partial<Envelope>, id = 'item-1'): Envelope {
  return { ...emptyEnvelope(), item: { id, mediaTypeClaimed: null, collectedAt: null }, ...known }
}

function ofSupplier(supplier: string | null): Envelope {
  return envelope({ supply: supply({ kind: 'licensed', supplier }) })
}

test('facts are counted by group, the largest first, and what tells no group is a group too', () => {
  const completeness = createCompleteness('supplier', policy)
  completeness.add(ofSupplier(null))
  completeness.add(
    envelope({
      supply: supply({ kind: 'web-crawl', supplier: 'b' }),
      acquisition: acquisition({ finalUrl: 'https://pictures.example.org/1', fetchedAt: 1 }),
    }),
  )
  completeness.add(ofSupplier('b'))
  const found = completeness.groups().map(({ name, items, facts, actionable, held }) => ({
    name,
    items,
    placeFound: facts.placeFound,
    supplier: facts.supplier,
    actionable,
    held,
  }))
  assert.deepEqual(found, [
    { name: 'b', items: 2, placeFound: 1, supplier: 2, actionable: 1, held: 1 },
    { name: null, items: 1, placeFound: 0, supplier: 0, actionable: 0, held: 1 },
  ])
})

test('the source domain is the host that was fetched from, else that of the page; no URL is none', () => {
  const completeness = createCompleteness('source-domain', policy)
  const page = origin({ pageUrl: 'https://page.example.org/a' })
  completeness.add(envelope({ acquisition: acquisition({ finalUrl: 'https://IMG.example.org:8443/1' }), origin: page }))
  completeness.add(envelope({ acquisition: acquisition({ finalUrl: 'no url' }), origin: page }))
  completeness.add(envelope({ acquisition: acquisition({ requestedUrl: 'data:,x' }) }))
  assert.deepEqual(
    completeness.groups().map(({ name }) => name),
    [null, 'img.example.org', 'page.example.org'],
  )
})

test('groups beyond the most are counted together, and none is lost', () => {
  const completeness = createCompleteness('supplier', policy, 3)
  for (let n = 0; n < 100; n++) completeness.add(ofSupplier(`supplier-${n % 10}`))
  const groups = completeness.groups()
  assert.deepEqual(
    groups.map(({ name, others, items }) => [name, others, items]),
    [
      ['supplier-0', false, 10],
      ['supplier-1', false, 10],
      ['supplier-2', false, 10],
      [null, true, 70],
    ],
  )
  assert.ok((groups[0]?.items ?? 0) <= 100)
})

test('a gap is one line, whatever its supplier called the shard, and nothing in it is a formula', () => {
  const lineOf = (shard: string | null, id = 'item-1'): string => {
    const gap = gapOf(envelope({ supply: supply({ kind: 'partner', supplier: 'b', shard, row: 4 }) }, id), policy)
    assert.ok(gap)
    return gapLine(gap)
  }
  assert.equal(gapsHeader, 'shard,row,itemId,required,wanted')
  assert.equal(lineOf('a.tar'), 'a.tar,4,item-1,contract,licence placeFound uploader')
  assert.equal(lineOf(null), ',4,item-1,contract,licence placeFound uploader')
  assert.match(lineOf('=1+1'), /^'=1\+1,4/)
  assert.match(lineOf('a "b", c'), /^"a ""b"", c",4/)
  assert.match(lineOf('a\nb\u001b[2J'), /^a\\u000ab\\u001b\[2J,4/)
  assert.match(lineOf('a', '-item'), /^a,4,-item,/)
})

test('an item that lacks nothing, or has no id to name it by, is no gap', () => {
  const synthetic = { generator: 'model/1', digitalSourceType: null }
  assert.equal(gapOf(envelope({ supply: supply({ kind: 'synthetic', supplier: 'b' }), synthetic }), policy), null)
  assert.equal(gapOf(emptyEnvelope(), policy), null)
})
