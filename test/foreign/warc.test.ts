import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import type { Envelope } from '../../services/domain/records.ts'
import { audit } from '../integration/audit.ts'
import { openBench, shippedProvenance } from '../integration/harness.ts'
import { run, skipWithoutPython } from './foreign.ts'

const fields = z.array(z.tuple([z.string(), z.string()]))
/** A capture of a picture as warcio reads it. */
const capture = z.object({
  record: z.record(z.string(), z.string()),
  http: fields,
  status: z.number(),
  request: fields,
  method: z.string(),
  info: z.record(z.string(), z.string()),
})
type Capture = z.infer<typeof capture>

/** Where each header of a response record is found again; one that is not here fails. */
const landings: Readonly<Record<string, (value: string, envelope: Envelope) => void>> = {
  'WARC-Record-ID': (value, { acquisition }) => assert.equal(acquisition?.warcRecordId, value),
  'WARC-Target-URI': (value, { acquisition }) => assert.equal(acquisition?.finalUrl, value),
  'WARC-IP-Address': (value, { acquisition }) => assert.equal(acquisition?.remoteAddress, value),
  'WARC-Date': (value, { item, acquisition, liveness }) => {
    for (const time of [item?.collectedAt, acquisition?.fetchedAt, liveness?.lastSeenAt])
      assert.equal(time, Date.parse(value))
  },
  'WARC-Payload-Digest': (value, { acquisition }) => {
    assert.equal(acquisition?.fetchedSha1, Buffer.from(base32(value.replace('sha1:', ''))).toString('hex'))
  },
  // About the record and its bytes in the file, not about what was captured.
  'WARC-Type': (value) => assert.equal(value, 'response'),
  'WARC-Block-Digest': () => undefined,
  'Content-Type': (value) => assert.match(value, /^application\/http/),
  'Content-Length': () => undefined,
}
const infoLandings: Readonly<Record<string, (value: string, envelope: Envelope) => void>> = {
  software: (value, { acquisition }) => assert.equal(acquisition?.crawler, value),
  isPartOf: (value, { acquisition }) => assert.equal(acquisition?.run, value),
}

/** RFC 4648, without padding. */
function base32(text: string): number[] {
  const bits = [...text].map((letter) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0'),
  )
  return (bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2))
}

function lower(all: Capture['http']): { name: string; value: string }[] {
  return all.map(([name, value]) => ({ name: name.toLowerCase(), value }))
}

test('what a crawler had warcio write comes through the gate with every field that it carries, cleared or held', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { provenance: shippedProvenance() })
  const file = join(bench.folder, 'crawl.warc.gz')
  const captures = (await run('write-warc.py', [file])).map((line) => capture.parse(JSON.parse(line)))
  const known = captures.find(({ record }) => record['WARC-Target-URI']?.endsWith('/picture-3.png'))
  assert.ok(known)
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const first = JSON.parse((await bench.sluice(['crawl', 'warc', file, '--json'])).stdout())
  assert.deepEqual([first.published, first.bad], [7, 0])
  assert.deepEqual(first.leftOut, { 'media type unknown': 1, 'status 302': 1, 'status 404': 1 })
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)

  // Once more, with one of the pictures known.
  const cleared = await audit(bench)
  assert.deepEqual(
    cleared.map(({ outcome }) => outcome),
    Array.from({ length: 7 }, () => 'clean'),
  )
  const digestOf = new Map(cleared.map((fate) => [envelopeOf(fate).acquisition?.warcRecordId, fate.verdict.sha256]))
  await bench.importList('stand-in', [{ sha256: digestOf.get(known.record['WARC-Record-ID']) ?? '' }])
  await bench.sluice(['crawl', 'warc', file])
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
  const fates = await audit(bench)
  assert.equal(fates.length, 14)
  assert.equal(fates.filter(({ outcome }) => outcome === 'quarantine').length, 1)

  for (const one of captures) {
    const same = fates.filter((fate) => envelopeOf(fate).acquisition?.warcRecordId === one.record['WARC-Record-ID'])
    assert.equal(same.length, 2)
    assert.equal(new Set(same.map(({ verdict }) => verdict.itemId)).size, 1, 'the same id both times')
    for (const fate of same) assertCarried(one, envelopeOf(fate))
  }
  const moved = fates.map(envelopeOf).filter(({ acquisition }) => acquisition?.requestedUrl?.endsWith('/moved'))
  assert.ok(moved.length > 0 && moved.every(({ acquisition }) => acquisition?.finalUrl?.endsWith('/picture-1.png')))
  const [optedOut] = fates.map(envelopeOf).filter(({ origin }) => origin?.caption === 'Boat number 2')
  assert.deepEqual(optedOut?.rights, {
    licence: 'https://example.org/licence',
    robots: 'noimageai, noai',
    tdmOptOut: 'tdm-reservation: 1',
  })
})

function envelopeOf({ envelope }: { envelope: { envelope: unknown } }): Envelope {
  // What fastavro read by the schema that it was written with.
  return envelope.envelope as Envelope
}

function assertCarried({ record, http, status, request, method, info }: Capture, envelope: Envelope): void {
  for (const [name, value] of Object.entries(record)) {
    assert.ok(Object.hasOwn(landings, name), `nothing says where ${name} lands`)
    landings[name]?.(value, envelope)
  }
  for (const [name, value] of Object.entries(info)) {
    assert.ok(Object.hasOwn(infoLandings, name), `nothing says where ${name} of the warcinfo lands`)
    infoLandings[name]?.(value, envelope)
  }
  assert.equal(envelope.acquisition?.status, status)
  assert.deepEqual(envelope.acquisition?.responseHeaders, lower(http))
  assert.deepEqual(JSON.parse(envelope.extra['warc.requestHeaders'] ?? ''), lower(request))
  assert.equal(envelope.extra['warc.requestMethod'], JSON.stringify(method))
  assert.equal(envelope.acquisition?.warcFile, 'crawl.warc.gz')
  const number = /picture-(\d)/.exec(record['WARC-Target-URI'] ?? '')?.[1]
  assert.equal(envelope.origin?.caption, `Boat number ${number}`)
  assert.equal(envelope.origin?.pageTitle, 'A page of boats')
  assert.match(envelope.origin?.pageUrl ?? '', /\/page$/)
}
