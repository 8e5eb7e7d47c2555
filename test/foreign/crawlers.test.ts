import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { acquisition, emptyEnvelope, liveness, origin, rights, supply } from '../../services/domain/envelope.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { type Bench, openBench, shippedProvenance } from '../integration/harness.ts'
import { photograph, sha256, tinyPicture } from '../integration/items.ts'
import { readTopics, runPython, skipWithoutPython } from './foreign.ts'

const crawlers = join(import.meta.dirname, '../../infra/crawlers')

const boats = `<html><head><title>Boats</title><meta name="robots" content="noimageai"><meta name="tdm-reservation" content="1"></head>
<body><a rel="author" href="/people/7">Somebody</a> <a rel="license" href="/licence">free</a>
<img src="small.png" alt="A boat — ein Boot"><img src="/moved.png"><img src="/gone.png" alt="gone">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="><a href="/second.html">more</a></body></html>`
const second = '<html><body><img src="/large.jpg" alt="large"><img src="/short.png"></body></html>'

type Judged = { envelope: Envelope; topic: string }

type Site = { url: string; small: Buffer; moved: Buffer; large: Buffer; short: Buffer }

/** A site of pictures: in pages, behind redirects, gone, and one that ends before its time. */
async function serveSite(t: TestContext): Promise<Site> {
  const [small, moved, short, large] = [
    await tinyPicture(1),
    await tinyPicture(2),
    await tinyPicture(3),
    photograph('nagasaki-boats'),
  ]
  const html = (text: string) => (response: ServerResponse) =>
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(text)
  const picture = (bytes: Buffer, type: string, more: object) => (response: ServerResponse) =>
    response.writeHead(200, { 'content-type': type, 'content-length': bytes.length, ...more }).end(bytes)
  const pages: Record<string, (response: ServerResponse) => void> = {
    '/boats/index.html': html(boats),
    '/second.html': html(second),
    '/boats/small.png': picture(small, 'image/png', { etag: '"1"', 'x-robots-tag': ['noai', 'noindex'] }),
    '/moved.png': (response) => response.writeHead(301, { location: '/moved-again.png' }).end(),
    '/moved-again.png': (response) => response.writeHead(302, { location: '/found.png' }).end(),
    '/found.png': picture(moved, 'image/png', {}),
    '/large.jpg': picture(large, 'image/jpeg', { 'tdm-reservation': '1' }),
    '/short.png': (response) => {
      response.writeHead(200, { 'content-type': 'image/png', 'content-length': short.length })
      response.write(short.subarray(0, -20), () => response.destroy())
    },
    // Without content-length, in chunks, the last of which does not come.
    '/short-chunks.png': (response) => {
      response.writeHead(200, { 'content-type': 'image/png' })
      response.write(short.subarray(0, -20), () => response.destroy())
    },
  }
  const server = createServer(({ url = '' }, response) => {
    const page = pages[url]
    if (page === undefined) response.writeHead(404).end('gone')
    else page(response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, small, moved, large, short }
}

/** What gates made of each item of the door, by requested URL; one crawl each. */
async function judged(bench: Bench): Promise<Map<string, Judged[]>> {
  await bench.sluice(['gate', '--until-caught-up'])
  const outcomes = (['gate.clean', 'gate.quarantine', 'gate.review'] as const).map((name) => bench.topic(name))
  const { records } = await readTopics(bench.settings, [bench.topic('gate.envelopes'), ...outcomes])
  const place = (value: unknown): string => JSON.stringify((value as { input: object }).input)
  const topics = new Map(
    records.filter(({ topic }) => outcomes.includes(topic)).map(({ value, topic }) => [place(value), topic]),
  )
  const found = records
    .filter(({ topic }) => topic === bench.topic('gate.envelopes'))
    .map(({ value }) => ({
      envelope: (value as { envelope: Envelope }).envelope,
      topic: (topics.get(place(value)) ?? '').slice(bench.settings.prefix.length),
    }))
  return Map.groupBy(found, ({ envelope }) => envelope.acquisition?.requestedUrl ?? '')
}

/** What differs from one crawl to the next is checked for what it must be, and replaced by what is expected of all. */
function steady(envelope: Envelope, began: number): Envelope {
  const { item, acquisition, liveness, extra } = envelope
  assert.match(item?.id ?? '', /^(scrapy|plain)-[0-9a-f]{40}$/)
  const at = acquisition?.fetchedAt ?? 0
  assert.ok(at >= began && at <= Date.now())
  assert.equal(item?.collectedAt, at)
  assert.equal(liveness?.lastSeenAt, at)
  assert.match(acquisition?.run ?? '', /^[0-9a-f-]{36}$/)
  assert.match(extra['cloudevents.id'] ?? '', /^[0-9a-f-]{36}$/)
  const responseHeaders = acquisition?.responseHeaders.filter(({ name }) => name !== 'date') ?? []
  assert.equal(responseHeaders.length + 1, acquisition?.responseHeaders.length)
  return {
    ...envelope,
    item: item && { ...item, id: '', collectedAt: 0 },
    acquisition: acquisition && { ...acquisition, responseHeaders, run: null, fetchedAt: 0 },
    liveness: liveness && { ...liveness, lastSeenAt: 0 },
    extra: { ...extra, 'cloudevents.id': '' },
  }
}

/** Every picture has been judged once for each of the two crawls, and its envelope says what is expected. */
function assertJudged(
  found: ReadonlyMap<string, Judged[]>,
  expected: Readonly<Record<string, Judged>>,
  site: string,
  began: number,
): void {
  assert.deepEqual(
    [...found.keys()].toSorted(),
    Object.keys(expected)
      .map((path) => site + path)
      .toSorted(),
  )
  for (const [path, { envelope, topic }] of Object.entries(expected)) {
    const crawls = found.get(site + path) ?? []
    assert.equal(crawls.length, 2)
    for (const crawl of crawls) {
      assert.deepEqual(steady(crawl.envelope, began), envelope)
      assert.equal(crawl.topic, topic, path)
    }
  }
}

function described(bytes: Buffer, isInline = true): Envelope['payload'] {
  const digest = sha256(bytes)
  return { reference: isInline ? null : digest, size: bytes.length, md5: null, sha1: null, sha256: digest }
}

/** The file by which a crawler proves who it is; none where nobody asks. */
function credentialsOf({ environment: { SLUICE_KAFKA_USERS: users } }: Bench): string[] {
  return users === undefined ? [] : [join(users, 'crawler')]
}

/** What all pictures of a crawler have. */
function common(type: string, source: string): Envelope {
  return {
    ...emptyEnvelope(),
    item: { id: '', mediaTypeClaimed: type, collectedAt: 0 },
    supply: supply({ kind: 'web-crawl', supplier: 'crawler.example.org' }),
    liveness: liveness({ lastSeenAt: 0, status: 'online' }),
    extra: { 'cloudevents.source': source, 'cloudevents.id': '' },
  }
}

function sized(type: string, bytes: Buffer): Array<{ name: string; value: string }> {
  return [
    { name: 'content-type', value: type },
    { name: 'content-length', value: String(bytes.length) },
  ]
}

test('a Scrapy crawl by the item pipeline is judged with all that Scrapy knew of each picture, as Avro and as JSON', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2, provenance: shippedProvenance() })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const { url, small, moved, large, short } = await serveSite(t)
  const began = Date.now()
  const { brokers, registry, stores, prefix } = bench.settings
  await Promise.all(
    ['0', '1'].map((json) =>
      runPython([
        ...['-m', 'scrapy', 'runspider', join(crawlers, 'scrapy_pipeline.py'), '-a', `start=${url}/boats/index.html`],
        ...['-s', `SLUICE_BROKERS=${brokers}`, '-s', `SLUICE_REGISTRY=${registry}`, '-s', `SLUICE_STORES=${stores}`],
        ...['-s', `SLUICE_PREFIX=${prefix}`, '-s', `SLUICE_JSON=${json}`, '-s', 'LOG_LEVEL=WARNING'],
        ...credentialsOf(bench).flatMap((file) => ['-s', `SLUICE_KAFKA_CREDENTIALS=${file}`]),
      ]).then(({ stderr }) => {
        // The client library tells when a broker was slow to answer.
        const own = stderr.filter((line) => !/^%[45]\|.*\|(REQTMOUT|GETPID)\|/.test(line))
        assert.deepEqual(own, [])
      }),
    ),
  )

  const found = await judged(bench)
  const source = '/example/scrapy/pictures'
  const fetched = { crawler: 'scrapy/2.19.0 (pictures)', status: 200, remoteAddress: '127.0.0.1', fetchedAt: 0 }
  const shown = {
    pageUrl: `${url}/boats/index.html`,
    pageTitle: 'Boats',
    uploaderHandle: 'Somebody',
    uploaderProfileUrl: `${url}/people/7`,
    platform: '127.0.0.1',
  }
  const licence = `${url}/licence`
  const onSecond = { pageUrl: `${url}/second.html`, platform: '127.0.0.1' }
  const expected: Record<string, Judged> = {
    '/boats/small.png': {
      topic: 'gate.clean',
      envelope: {
        ...common('image/png', source),
        payload: described(small),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/boats/small.png`,
          finalUrl: `${url}/boats/small.png`,
          responseHeaders: [
            ...sized('image/png', small),
            { name: 'etag', value: '"1"' },
            { name: 'x-robots-tag', value: 'noai' },
            { name: 'x-robots-tag', value: 'noindex' },
          ],
        }),
        origin: origin({ ...shown, caption: 'A boat — ein Boot' }),
        rights: rights({ licence, robots: 'noai; noindex; noimageai', tdmOptOut: '1' }),
      },
    },
    '/moved.png': {
      topic: 'gate.clean',
      envelope: {
        ...common('image/png', source),
        payload: described(moved),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/moved.png`,
          redirects: [`${url}/moved-again.png`],
          finalUrl: `${url}/found.png`,
          responseHeaders: sized('image/png', moved),
        }),
        origin: origin(shown),
        rights: rights({ licence, robots: 'noimageai', tdmOptOut: '1' }),
      },
    },
    '/large.jpg': {
      topic: 'gate.clean',
      envelope: {
        ...common('image/jpeg', source),
        payload: described(large, false),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/large.jpg`,
          finalUrl: `${url}/large.jpg`,
          responseHeaders: [...sized('image/jpeg', large), { name: 'tdm-reservation', value: '1' }],
        }),
        origin: origin({ ...onSecond, caption: 'large' }),
        rights: rights({ tdmOptOut: '1' }),
      },
    },
    '/short.png': {
      topic: 'gate.quarantine',
      envelope: {
        ...common('image/png', source),
        payload: described(short.subarray(0, -20)),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/short.png`,
          finalUrl: `${url}/short.png`,
          responseHeaders: sized('image/png', short),
          truncated: 'disconnect',
        }),
        origin: origin(onSecond),
        rights: rights({}),
      },
    },
  }
  assertJudged(found, expected, url, began)
})

test('pictures from a plain confluent-kafka producer are judged with all that it knew of them, as Avro and as JSON', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2, provenance: shippedProvenance() })
  const { url, small, moved, large, short } = await serveSite(t)
  await bench.importList('stand-in', [{ sha256: sha256(large) }])
  const began = Date.now()
  const { brokers, registry, stores, prefix } = bench.settings
  const page = 'https://gallery.example.org/boats'
  const pictures = ['/boats/small.png', '/short.png', '/moved.png', '/gone.png', '/short-chunks.png', '/large.jpg']
  for (const json of [[], ['--json']]) {
    await runPython([
      ...[join(crawlers, 'plain_producer.py'), `--brokers=${brokers}`, `--registry=${registry}`, `--stores=${stores}`],
      ...credentialsOf(bench).map((file) => `--credentials=${file}`),
      ...[`--prefix=${prefix}`, `--page=${page}`, ...json, ...pictures.map((path) => url + path)],
    ])
  }

  const found = await judged(bench)
  const fetched = { crawler: 'plain-producer (requests/2.34.2)', status: 200, remoteAddress: '127.0.0.1', fetchedAt: 0 }
  const shown = origin({ pageUrl: page, platform: 'gallery.example.org' })
  const expected: Record<string, Judged> = {
    '/boats/small.png': {
      topic: 'gate.clean',
      envelope: {
        ...common('image/png', '/example/plain'),
        payload: described(small),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/boats/small.png`,
          finalUrl: `${url}/boats/small.png`,
          responseHeaders: [
            ...sized('image/png', small),
            { name: 'etag', value: '"1"' },
            { name: 'x-robots-tag', value: 'noai' },
            { name: 'x-robots-tag', value: 'noindex' },
          ],
        }),
        origin: shown,
        rights: rights({ robots: 'noai; noindex' }),
      },
    },
    '/moved.png': {
      topic: 'gate.clean',
      envelope: {
        ...common('image/png', '/example/plain'),
        payload: described(moved),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/moved.png`,
          redirects: [`${url}/moved-again.png`],
          finalUrl: `${url}/found.png`,
          responseHeaders: sized('image/png', moved),
        }),
        origin: shown,
        rights: rights({}),
      },
    },
    '/large.jpg': {
      topic: 'gate.quarantine',
      envelope: {
        ...common('image/jpeg', '/example/plain'),
        payload: described(large, false),
        acquisition: acquisition({
          ...fetched,
          requestedUrl: `${url}/large.jpg`,
          finalUrl: `${url}/large.jpg`,
          responseHeaders: [...sized('image/jpeg', large), { name: 'tdm-reservation', value: '1' }],
        }),
        origin: shown,
        rights: rights({ tdmOptOut: '1' }),
      },
    },
    ...Object.fromEntries(
      [
        { path: '/short.png', responseHeaders: sized('image/png', short) },
        { path: '/short-chunks.png', responseHeaders: sized('image/png', short).slice(0, 1) },
      ].map(({ path, responseHeaders }) => [
        path,
        {
          topic: 'gate.quarantine',
          envelope: {
            ...common('image/png', '/example/plain'),
            payload: described(short.subarray(0, -20)),
            acquisition: acquisition({
              ...fetched,
              requestedUrl: url + path,
              finalUrl: url + path,
              responseHeaders,
              truncated: 'disconnect',
            }),
            origin: shown,
            rights: rights({}),
          },
        },
      ]),
    ),
  }
  assertJudged(found, expected, url, began)
})
