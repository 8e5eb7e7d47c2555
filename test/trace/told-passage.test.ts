import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  acquisition,
  emptyEnvelope,
  liveness,
  origin,
  rights,
  supply,
  trainingView,
} from '../../services/domain/envelope.ts'
import type { Envelope, Match } from '../../services/domain/records.ts'
import type { Passage } from '../../services/trace/find-passages.ts'
import { printedJson, printedSections } from '../../services/trace/printed.ts'
import { sectionsOf, toldPassage } from '../../services/trace/told-passage.ts'

const match: Match = {
  list: 'stand-in',
  listVersion: '2026-03-01',
  entry: 'boats',
  signal: 'pdq',
  distance: 12,
  quality: 100,
  frame: 3,
  transform: 'rotate90',
  class: 'near',
  enforced: true,
  classification: null,
  standing: 'positive',
}

function passageOf(envelope: Envelope | null, verdict: Partial<Passage['verdict']> = {}): Passage {
  return {
    key: 'item-1',
    verdict: {
      input: { cluster: 'c', topic: 'crawl.items', partition: 1, offset: 17 },
      inputTimestamp: 1_767_225_600_000,
      itemId: 'item-1',
      judgedAt: 1_767_225_601_000,
      outcome: 'quarantine',
      reasons: [],
      matches: [],
      missing: [],
      policyHash: 'a'.repeat(64),
      listVersions: [{ list: 'stand-in', version: '2026-03-01' }],
      engineVersion: '2',
      mediaType: 'image/png',
      size: 100,
      sha256: 'b'.repeat(64),
      supplyKind: null,
      supplier: null,
      dataset: null,
      attempt: 0,
      signals: 19,
      heldReference: 'c'.repeat(64),
      replay: null,
      ...verdict,
    },
    envelope,
    envelopeState: envelope === null ? 'denied' : 'told',
    clean: null,
    receipt: null,
    recall: null,
  }
}

function textOf(passage: Passage, reveal = false): string {
  return printedSections(sectionsOf(toldPassage(passage, reveal)))
}

/** Every text that leads to content or to people is one of these; every other text is not. */
const secret = (what: string) => `SECRET ${what}`
const url = (what: string) => `https://secret.example.org/${what}`
const whole: Envelope = {
  ...emptyEnvelope(),
  item: { id: 'item-1', mediaTypeClaimed: 'image/png', collectedAt: 1_767_225_600_000 },
  payload: { reference: null, size: 100, md5: null, sha1: null, sha256: 'b'.repeat(64) },
  acquisition: acquisition({
    crawler: 'bot/1',
    requestedUrl: url('first'),
    redirects: [url('second'), url('third')],
    finalUrl: url('last'),
    status: 200,
    responseHeaders: [{ name: 'location', value: secret('header') }],
    remoteAddress: secret('192.0.2.7'),
    fetchedAt: 1_767_225_600_000,
    warcFile: 'crawl-1.warc.gz',
    warcOffset: 512,
  }),
  origin: origin({
    pageUrl: url('page'),
    pageTitle: secret('title'),
    caption: secret('caption'),
    uploaderId: secret('id'),
    uploaderHandle: secret('handle'),
    uploaderProfileUrl: url('profile'),
    platform: 'example',
  }),
  supply: supply({ kind: 'web-crawl', supplier: 'Example Pictures', shard: url('shard'), row: 7 }),
  rights: rights({ licence: url('licence') }),
  liveness: liveness({ lastSeenAt: 1_767_225_600_000, status: 'online' }),
  amendments: [
    {
      fields: ['supply.supplier'],
      source: 'their letter',
      addedBy: 'A. Example',
      addedAt: 1_767_225_600_000,
      original: 'c/crawl.items/1/3',
    },
  ],
  extra: { 'origin.forum': secret('extra') },
}

test('the whole chain is told in order: door, source, fetch, origin, amendments, completeness, verdict, bytes', () => {
  const text = textOf(
    passageOf(whole, {
      reasons: ['KNOWN_NEAR', 'FROM_LATER'],
      matches: [match],
      missing: [{ fact: 'remoteAddress', enforced: false }],
    }),
    true,
  )
  const expected = [
    /door +coordinates +c\/crawl\.items\/1\/17/,
    /at +2026-01-01T00:00:00\.000Z/,
    /source +kind +web-crawl/,
    /row +7/,
    /supplier +name +Example Pictures/,
    /fetch +requested +https:\/\/secret\.example\.org\/first/,
    /redirect +\S+second/,
    /redirect +\S+third/,
    /final +\S+last/,
    /address +SECRET 192\.0\.2\.7/,
    /at +2026-01-01/,
    /WARC file +crawl-1\.warc\.gz/,
    /origin +page +\S+page/,
    /uploader +SECRET handle/,
    /liveness +last seen +2026-01-01/,
    /headers +location +SECRET header/,
    /amendments +fields +supply\.supplier/,
    /addedAt +2026-01-01/,
    /original +c\/crawl\.items\/1\/3/,
    /extra +origin\.forum +SECRET extra/,
    /claims +payload\.size +100/,
    /completeness +known +placeFound, fetchedAt/,
    /actionable +yes/,
    /verdict +outcome +quarantine/,
    /reason +KNOWN_NEAR: a perceptual hash is within/,
    /reason +FROM_LATER: a reason that this version of sluice does not know/,
    /match +near on stand-in \(version 2026-03-01\), entry boats; pdq at distance 12; quality 100; frame 3, rotate90; enforced/,
    /missing +remoteAddress: the IP address that served it \(counted\)/,
    /policy +a{64}/,
    /list +stand-in, version 2026-03-01/,
    /engine +version 2/,
    /bytes +payload +held store, b{64}/,
    /message +held store, c{64}/,
  ]
  let from = 0
  for (const pattern of expected) {
    const found = text.slice(from).search(pattern)
    assert.ok(found >= 0, `${pattern} behind ${from} in\n${text}`)
    from += found + 1
  }
})

test('what leads to content or to people is masked, as text and as JSON, and the rest is told', () => {
  const told = toldPassage(passageOf(whole), false)
  for (const text of [printedSections(sectionsOf(told)), printedJson(told)]) {
    assert.doesNotMatch(text, /secret/i)
    assert.match(text, /https:\/\/…\(masked, 32 characters\)/)
    for (const open of ['Example Pictures', 'crawl-1.warc.gz', 'their letter', 'bot/1', 'origin.forum', 'online']) {
      assert.ok(text.includes(open), open)
    }
  }
  assert.match(printedJson(toldPassage(passageOf(whole), true)), /SECRET caption/)
})

test('without the right to read envelopes the verdict is told, and that nothing else may be', () => {
  const text = textOf(passageOf(null, { reasons: ['KNOWN_EXACT'] }))
  assert.match(text, /envelope +none +gate\.envelopes may not be read by this principal/)
  assert.match(text, /reason +KNOWN_EXACT: /)
  assert.doesNotMatch(text, /completeness/)
})

test('strangers steer no terminal, whatever they write and wherever', () => {
  const steering = fc.string({
    unit: fc.constantFrom(
      '\u001b',
      '\u009b',
      '\u0007',
      '\n',
      '\r',
      '\u202e',
      '\u200b',
      '[',
      ']',
      '2',
      'J',
      '"',
      '\\',
      'a',
    ),
    minLength: 1,
    maxLength: 12,
  })
  fc.assert(
    fc.property(steering, fc.boolean(), (text, reveal) => {
      const hostile: Envelope = {
        ...whole,
        item: { id: 'item-1', mediaTypeClaimed: text, collectedAt: 0 },
        acquisition: acquisition({
          crawler: text,
          requestedUrl: text,
          redirects: [text],
          responseHeaders: [{ name: text, value: text }],
          warcFile: text,
        }),
        origin: origin({ caption: text, platform: text }),
        supply: supply({ kind: text, supplier: text, shard: text }),
        amendments: [{ fields: [text], source: text, addedBy: text, addedAt: 0, original: text }],
        extra: { [text]: text },
      }
      const told = toldPassage(passageOf(hostile, { reasons: [text], matches: [{ ...match, entry: text }] }), reveal)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      const raw = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u202e]/
      const lines = printedSections(sectionsOf(told))
      assert.doesNotMatch(lines, raw)
      assert.doesNotMatch(lines, /^\S/m, 'no line but those of sections begins')
      const json = printedJson(told)
      assert.doesNotMatch(json, raw)
      assert.deepEqual(JSON.parse(json), JSON.parse(JSON.stringify(told)))
    }),
  )
})

for (const [receipt, told] of [
  ['holds', /receipt +holds: a gate has signed/],
  ['unchecked', /receipt +not checked: SLUICE_KEYRING/],
  ['RECEIPT_MISMATCH', /receipt +does NOT hold: .*\(RECEIPT_MISMATCH\)/],
  ['KEY_REVOKED', /receipt +does NOT hold: .*\(KEY_REVOKED\)/],
] as const) {
  test(`of what was cleared is told whether its receipt holds: ${receipt}`, () => {
    const passage = passageOf(null, { outcome: 'clean' })
    const payload = { reference: 'b'.repeat(64), size: 100, mediaType: 'image/png' }
    const training = trainingView(emptyEnvelope())
    const clean = { input: passage.verdict.input, id: 'item-1', payload, training, receipt: '{}' }
    assert.match(textOf({ ...passage, clean, receipt }), told)
    assert.equal(toldPassage({ ...passage, clean, receipt }, false).clean?.receipt, receipt)
  })
}

for (const { state, recalledAt, store } of [
  { state: 'recalled', recalledAt: 1, store: 'held' },
  { state: 'a state of tomorrow', recalledAt: 1, store: 'held' },
  { state: 'withdrawn', recalledAt: Number.MAX_SAFE_INTEGER, store: 'held' },
  { state: 'withdrawn', recalledAt: 1, store: 'clean' },
]) {
  test(`what was cleared and is ${state} since ${recalledAt} lies in the ${store} store`, () => {
    const passage = passageOf(null, { outcome: 'clean' })
    const { input } = passage.verdict
    const recall = {
      sha256: 'a',
      state,
      input,
      matches: [],
      recalledAt,
      acceptedBy: 'somebody',
      acceptedReason: 'it is right',
    }
    const told = toldPassage({ ...passage, recall }, false)
    assert.equal(told.bytes.store, store)
    const text = printedSections(sectionsOf(told))
    assert.match(text, new RegExp(`recall +state +${state}`))
    assert.match(text, /accepted +by somebody: it is right/)
  })
}
