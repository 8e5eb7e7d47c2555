import assert from 'node:assert/strict'
import { randomFillSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { WARCRecord, WARCSerializer } from 'warcio'
import type { Found } from '../../services/crawl/importer.ts'
import { readPage } from '../../services/crawl/warc/page.ts'
import { readWarc } from '../../services/crawl/warc/read-warc.ts'
import { warcImporter } from '../../services/crawl/warc.ts'
import { isItemId } from '../../services/domain/envelope.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { reservedRights } from '../../services/domain/judge/rights.ts'
import type { Envelope } from '../../services/domain/records.ts'
import { schemaType } from '../../services/platform/avro.ts'
import { tinyPicture } from '../integration/items.ts'
import { DATE, envelopesOf, everything, type Head, http, inShort, packed, record, response } from './warc-files.ts'

let folder = ''
let picture: Buffer = Buffer.alloc(0)

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sluice-warc-'))
  picture = await tinyPicture(1)
})
after(() => rm(folder, { recursive: true, force: true }))

let files = 0
async function file(...parts: readonly Buffer[]): Promise<string> {
  const path = join(folder, `${files++}.warc`)
  await writeFile(path, Buffer.concat(parts))
  return path
}

async function envelopes(...parts: readonly Buffer[]): Promise<Envelope[]> {
  return envelopesOf(await everything(await file(...parts)))
}

async function only(...parts: readonly Buffer[]): Promise<Envelope> {
  const [first, ...more] = await envelopes(...parts)
  assert.ok(first !== undefined && more.length === 0)
  return first
}

async function imported(path: string, options: Record<string, string> = {}): Promise<Found[]> {
  const found: Found[] = []
  for await (const part of warcImporter.parts([path], options)) for await (const one of part.read()) found.push(one)
  return found
}

const URL_A = 'http://user:word@www.example.org/a.png?x=1#part'
const SHA1 = 'da39a3ee5e6b4b0d3255bfef95601890afd80709'

function warcinfo(more: Head = {}): Buffer {
  return record(
    'warcinfo',
    { 'WARC-Record-ID': '<urn:test:info>', 'Content-Type': 'application/warc-fields', ...more },
    'software: Some Crawler/3.2\r\nisPartOf: RUN-7\r\nformat: WARC File Format 1.1\r\n',
  )
}

function redirect(from: string, location: string): Buffer {
  const head = { 'WARC-Target-URI': from, 'Content-Type': 'application/http' }
  return record('response', head, http(`HTTP/1.1 302 Found\nLocation: ${location}`))
}

function request(url: string, fields: string, head: Head = {}): Buffer {
  return record(
    'request',
    { 'WARC-Target-URI': url, 'Content-Type': 'application/http; msgtype=request', ...head },
    http(`GET / HTTP/1.1${fields === '' ? '' : `\n${fields}`}`),
  )
}

function page(url: string, html: string, fields = 'Content-Type: text/html; charset=utf-8'): Buffer {
  return response(url, html, {}, fields)
}

test('every field that is carried lands where the table of the README says', async () => {
  const plain = [
    warcinfo(),
    redirect('http://example.org/1', '/2'),
    redirect('http://example.org/2', URL_A),
    page(
      'http://example.org/page',
      `<title> A  page </title><meta name=robots content="noimageai">
       <meta name="tdm-reservation" content="1"><link rel=license href="/licence">
       <img src="//user:word@www.example.org/a.png?x=1" alt="Two boats">`,
    ),
    request(URL_A, 'Host: example.org\nReferer: http://example.org/elsewhere\nCookie: secret', {
      'WARC-Record-ID': '<urn:test:request>',
    }),
    response(
      URL_A,
      picture,
      {
        'WARC-Record-ID': '<urn:uuid:1>',
        'WARC-Concurrent-To': '<urn:test:request>',
        'WARC-IP-Address': '192.0.2.7',
        'WARC-Payload-Digest': 'sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ',
        'WARC-Truncated': 'length',
      },
      'Content-Type: Image/PNG; q=1\nX-Robots-Tag: noai\nSet-Cookie: a=b\nContent-Usage: train-ai=n, search=y\nX-Robots-Tag: noindex',
    ),
    record(
      'metadata',
      { 'WARC-Concurrent-To': '<urn:uuid:1>', 'Content-Type': 'application/warc-fields' },
      'via: http://example.org/page\r\nhopsFromSeed: LE\r\noutlink: http://example.org/x\r\nfetchTimeMs: 12\r\nseed: a\r\nseed: b\r\n',
    ),
  ]
  const path = join(folder, 'crawl.warc.gz')
  await writeFile(path, packed(...plain))
  const found = await imported(path, { supplier: 'Somebody', dataset: 'autumn', datasetVersion: '2' })
  const envelope = envelopesOf(found).at(-1)
  const at = Date.parse(DATE)
  assert.deepEqual(envelope, {
    item: { id: envelope?.item?.id, mediaTypeClaimed: 'image/png', collectedAt: at },
    payload: null,
    acquisition: {
      crawler: 'Some Crawler/3.2',
      run: 'RUN-7',
      requestedUrl: 'http://example.org/1',
      finalUrl: URL_A,
      redirects: ['http://example.org/2'],
      status: 200,
      responseHeaders: [
        { name: 'content-type', value: 'Image/PNG; q=1' },
        { name: 'x-robots-tag', value: 'noai' },
        { name: 'set-cookie', value: 'a=b' },
        { name: 'content-usage', value: 'train-ai=n, search=y' },
        { name: 'x-robots-tag', value: 'noindex' },
      ],
      remoteAddress: '192.0.2.7',
      fetchedAt: at,
      fetchedMd5: null,
      fetchedSha1: SHA1,
      fetchedSha256: null,
      warcFile: 'crawl.warc.gz',
      warcOffset: packed(...plain.slice(0, 5)).length,
      warcRecordId: '<urn:uuid:1>',
      truncated: 'length',
    },
    origin: {
      pageUrl: 'http://example.org/page',
      pageTitle: 'A page',
      caption: 'Two boats',
      uploaderId: null,
      uploaderHandle: null,
      uploaderProfileUrl: null,
      uploadedAtClaimed: null,
      platform: null,
    },
    supply: {
      kind: 'web-crawl',
      supplier: 'Somebody',
      contract: null,
      dataset: 'autumn',
      version: '2',
      shard: 'crawl.warc.gz',
      row: null,
    },
    rights: {
      licence: 'http://example.org/licence',
      robots: 'noai, noindex, noimageai',
      tdmOptOut: 'content-usage: train-ai=n; tdm-reservation: 1',
    },
    synthetic: null,
    liveness: { lastSeenAt: at, status: 'online' },
    amendments: [],
    extra: {
      'warc.requestMethod': '"GET"',
      'warc.requestHeaders': JSON.stringify([
        { name: 'host', value: 'example.org' },
        { name: 'referer', value: 'http://example.org/elsewhere' },
        { name: 'cookie', value: '[left out]' },
      ]),
      'warc.metadata.via': '"http://example.org/page"',
      'warc.metadata.hopsfromseed': '"LE"',
      'warc.metadata.fetchtimems': '"12"',
      'warc.metadata.seed': '["a","b"]',
    },
  })
  const item = found.at(-1)
  assert.ok(item?.kind === 'item' && picture.equals(item.collected.payload))
  const input = { cluster: '', topic: '', partition: 0, offset: 0 }
  assert.ok(schemaType('envelope').isValid({ input, itemId: null, envelope }))
})

test('what is no item is left out and counted by its reason', async () => {
  const http404 = { 'WARC-Target-URI': 'http://example.org/no', 'Content-Type': 'application/http' }
  const found = await everything(
    await file(
      warcinfo(),
      record('response', http404, http('HTTP/1.1 404 Not Found', 'no')),
      redirect('http://example.org/1', '/2'),
      record('revisit', { 'WARC-Target-URI': 'http://example.org/same' }, http('HTTP/1.1 200 OK')),
      record('conversion', { 'WARC-Target-URI': 'http://example.org/text' }, 'text'),
      record('continuation', {}, 'more'),
      record('novelty', {}, 'new'),
      record('response', { 'WARC-Target-URI': 'dns:example.org', 'Content-Type': 'text/dns' }, '20260101 192.0.2.1'),
      record('resource', { 'WARC-Target-URI': 'metadata://gnu.org/software/wget/warc/wget.log' }, 'log'),
      request('http://example.org/alone', ''),
      record('resource', { 'WARC-Target-URI': 'ftp://example.org/r.png', 'Content-Type': 'image/png' }, picture),
      response('http://example.org/a.png', picture),
    ),
  )
  assert.deepEqual(inShort(found), [
    'status 404',
    'status 302',
    'revisit',
    'conversion',
    'continuation',
    'record of another type',
    'response of another protocol',
    "resource of the crawler's own",
    'r.png',
    'a.png',
  ])
})

test('a resource is an item without status and without HTTP fields', async () => {
  const head = { 'WARC-Target-URI': 'urn:view:https://example.org/page', 'Content-Type': 'image/png' }
  const { item, acquisition, origin, liveness } = await only(record('resource', head, picture))
  assert.equal(item?.mediaTypeClaimed, 'image/png')
  assert.deepEqual([acquisition?.status, acquisition?.responseHeaders], [null, []])
  assert.equal(origin?.pageUrl, 'https://example.org/page')
  assert.deepEqual(liveness, { lastSeenAt: Date.parse(DATE), status: null })
})

const A = 'http://example.org/a.png'
const about = 'Referer: http://example.org/about'
const asked: { order: string; records: () => Buffer[] }[] = [
  {
    order: 'wget: before, named by the response',
    records: () => [
      request(A, about, { 'WARC-Record-ID': '<r>' }),
      response(A, picture, { 'WARC-Concurrent-To': '<r>' }),
    ],
  },
  {
    order: 'warcio: behind, naming the response',
    records: () => [
      response(A, picture, { 'WARC-Record-ID': '<a>' }),
      request(A, about, { 'WARC-Concurrent-To': '<a>' }),
    ],
  },
  {
    order: 'behind other captures, naming the response',
    records: () => [
      response(A, picture, { 'WARC-Record-ID': '<a>' }),
      response('http://example.org/b.png', picture),
      request('http://example.org/b.png', 'Referer: http://example.org/wrong'),
      request(A, about, { 'WARC-Concurrent-To': '<a>' }),
    ],
  },
  { order: 'before, with the same URL', records: () => [request(A, about), response(A, picture)] },
  { order: 'behind, with the same URL', records: () => [response(A, picture), request(A, about)] },
]
for (const { order, records } of asked) {
  test(`a request is found beside its response: ${order}`, async () => {
    const [envelope] = await envelopes(...records())
    assert.equal(envelope?.origin?.pageUrl, 'http://example.org/about')
    assert.equal(envelope?.extra['warc.requestMethod'], '"GET"')
  })
}

test('reading may end anywhere, and a request far from its response is forgotten', async () => {
  const requests = Array.from({ length: 30 }, () => request(A, about))
  const large = response('http://example.org/large.png', randomFillSync(Buffer.alloc(2_000_000)))
  const path = await file(
    packed(...requests, ...Array.from({ length: 9 }, () => record('revisit', {})), large, response(A, picture)),
  )
  for await (const { kind } of readWarc(path, {
    file: 'x',
    supplied: { supplier: null, dataset: null, version: null },
  }))
    if (kind === 'left-out') break
  const [, a] = envelopesOf(await everything(path))
  assert.deepEqual(a?.extra, {})
})

test("another capture's request is not taken", async () => {
  const [envelope] = await envelopes(
    response(A, picture, { 'WARC-Record-ID': '<a>' }),
    request(A, about, { 'WARC-Concurrent-To': '<other>' }),
    request('http://example.org/b.png', about),
  )
  assert.equal(envelope?.origin, null)
  assert.deepEqual(envelope?.extra, {})
})

test('what a crawler noted of a response names its page where it was a link or embedded, not where it was a redirect', async () => {
  const noted = (hops: string): Buffer =>
    record(
      'metadata',
      { 'WARC-Concurrent-To': `<urn:test:${A}>` },
      `via: http://example.org/via\r\nhopsFromSeed: ${hops}\r\n`,
    )
  assert.equal((await only(response(A, picture), noted('LE'))).origin?.pageUrl, 'http://example.org/via')
  assert.equal((await only(response(A, picture), noted('LR'))).origin, null)
})

test('redirects that lead in a circle end, and one to itself is none', async () => {
  const { acquisition } = await only(
    redirect('http://example.org/1', A),
    redirect(A, 'http://example.org/1'),
    redirect(A, `${A}#top`),
    response(A, picture),
  )
  assert.deepEqual([acquisition?.requestedUrl, acquisition?.redirects], ['http://example.org/1', []])
})

const base = 'http://example.org/dir/page'
const naming: { html: string; caption: string | null; what: string }[] = [
  { what: 'img', html: '<img src="../a.png" alt=" Two\n boats ">', caption: 'Two boats' },
  { what: 'img without alt, with title', html: '<img src=/a.png title=Boats>', caption: 'Boats' },
  { what: 'img with an empty alt', html: '<img src=/a.png alt="">', caption: null },
  { what: 'srcset', html: '<img src=/s.png srcset="/s.png 1x,/a.png 2x" alt=Boats>', caption: 'Boats' },
  { what: 'srcset of widths', html: '<img srcset="/s.png 300w, /a.png 900w" alt=Boats>', caption: 'Boats' },
  { what: 'a picture loaded late', html: '<img data-src=/a.png alt=Boats>', caption: 'Boats' },
  { what: 'picture', html: '<picture><source srcset=/a.png><img src=/s.png alt=Boats></picture>', caption: 'Boats' },
  { what: 'a link', html: '<a href="/a.png"><img src=/s.png alt=Boats></a>', caption: 'Boats' },
  {
    what: 'og:image',
    html: '<meta property="og:image" content="/a.png"><meta property="og:image:alt" content="Boats">',
    caption: 'Boats',
  },
  {
    what: 'figure',
    html: '<figure><img src=/a.png><figcaption>Two <b>boats</b> &amp; a quay</figcaption></figure>',
    caption: 'Two boats & a quay',
  },
  { what: 'a base', html: '<base href="http://example.org/"><img src=a.png alt=Boats>', caption: 'Boats' },
  { what: 'a page cut short', html: '<figure><img src=/a.png alt="Boats"><figcaption>Two', caption: 'Boats' },
]
for (const { what, html, caption } of naming) {
  test(`a picture keeps the page that named it: ${what}`, async () => {
    const found = await envelopes(page(base, `<title>T</title>${html}`), response(A, picture))
    const { pageUrl, pageTitle, caption: told } = found.at(-1)?.origin ?? {}
    assert.deepEqual([pageUrl, pageTitle, told], [base, 'T', caption])
  })
}

test('a picture that was redirected keeps the page that named the first URL', async () => {
  const found = await envelopes(
    page(base, '<img src=/1 alt=Boats>'),
    redirect('http://example.org/1', A),
    response(A, picture),
  )
  assert.equal(found.at(-1)?.origin?.caption, 'Boats')
})

test('a page that nests without end, or names pictures without end, is read in bounded time', async () => {
  const deep = '<b>'.repeat(300_000)
  const many = '<img src=/a.png alt=x>'.repeat(100_000)
  const started = performance.now()
  const found = await envelopes(
    page(base, `<img src=/a.png alt=Boats>${deep}`),
    page(`${base}2`, many),
    response(A, picture),
  )
  assert.equal(found.at(-1)?.origin?.caption, 'Boats')
  assert.ok(performance.now() - started < 60_000)
})

test('references of a page are not resolved against a base, or an address of its own, that is endless', () => {
  const long = `http://example.org/${'a'.repeat(1_000_000)}/`
  const many = '<a href=b><img src=b></a>'.repeat(5000)
  const started = performance.now()
  const based = readPage(Buffer.from(`<base href="${long}">${many}`), base, null)
  const placed = readPage(Buffer.from(`<img src=/a.png><img src=${A}>${many}`), long, null)
  assert.ok(based.pictures.length > 0 && based.pictures.every(({ url }) => url === 'http://example.org/dir/b'))
  assert.deepEqual(
    placed.pictures.map(({ url }) => url),
    [A],
  )
  assert.ok(performance.now() - started < 60_000)
})

const signals: {
  fields: string
  html?: string
  rights: [string | null, string | null, string | null]
  reserved: string[]
}[] = [
  {
    fields: 'X-Robots-Tag: otherbot: noai\nX-Robots-Tag: noindex',
    rights: [null, 'otherbot: noai, noindex', null],
    reserved: ['robots'],
  },
  {
    fields: 'tdm-reservation: 1\ntdm-policy: http://example.org/p',
    rights: [null, null, 'tdm-reservation: 1'],
    reserved: ['tdmOptOut'],
  },
  { fields: 'tdm-reservation: 0', rights: [null, null, 'tdm-reservation: 0'], reserved: [] },
  { fields: 'Content-Usage: train-ai=y, search=n', rights: [null, null, 'content-usage: train-ai=y'], reserved: [] },
  { fields: 'Content-Usage: search=n', rights: [null, null, null], reserved: [] },
  {
    fields: 'Content-Usage: all=y, train-ai=n;exp=1',
    rights: [null, null, 'content-usage: train-ai=n'],
    reserved: ['tdmOptOut'],
  },
  { fields: 'Link: <a>; rel=next, </l>; rel="license x"', rights: ['http://example.org/l', null, null], reserved: [] },
  { fields: 'X-Other: 1', rights: [null, null, null], reserved: [] },
  {
    fields: 'X-Other: 1',
    html: '<meta name=Robots content="noindex, noai"><meta name=tdm-reservation content=1><a rel=license href="https://example.org/cc">',
    rights: ['https://example.org/cc', 'noindex, noai', 'tdm-reservation: 1'],
    reserved: ['robots', 'tdmOptOut'],
  },
]
for (const { fields, html = '', rights: told, reserved } of signals) {
  test(`rights signals ${fields.replaceAll('\n', ', ')}${html && ' of the page'} reserve ${reserved.join(', ') || 'nothing'}`, async () => {
    const found = await envelopes(page(base, `${html}<img src=/a.png>`), response(A, picture, {}, fields))
    const envelope = found.at(-1)
    assert.ok(envelope !== undefined)
    const { licence = null, robots = null, tdmOptOut = null } = envelope.rights ?? {}
    assert.deepEqual([licence, robots, tdmOptOut], told)
    assert.deepEqual(reservedRights(envelope), reserved)
  })
}

test("a page's own head and meta elements stand in its own rights, once", async () => {
  const { rights } = await only(
    page(base, '<meta name=robots content=noai>', 'Content-Type: text/html\nX-Robots-Tag: noindex'),
  )
  assert.equal(rights?.robots, 'noindex, noai')
})

test('ids are well-formed, the same in every import, and made of the record id alone where there is one', async () => {
  const nameless = { 'WARC-Record-ID': undefined }
  const records = [response(A, picture), response(A, picture, nameless), response(A, picture, nameless)]
  const ids = async (path: string): Promise<(string | undefined)[]> =>
    envelopesOf(await everything(path)).map(({ item }) => item?.id)
  const path = await file(...records)
  const first = await ids(path)
  assert.deepEqual(await ids(path), first)
  assert.equal(new Set(first).size, 3)
  assert.ok(first.every((id) => id !== undefined && isItemId(id)))
  const elsewhere = await ids(await file(warcinfo(), ...records))
  assert.equal(elsewhere[0], first[0])
})

test('digests are told in hex, whichever way they were written, and others stay as they are', async () => {
  const md5 = 'd41d8cd98f00b204e9800998ecf8427e'
  const sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
  const written: [string, (string | null)[], string | undefined][] = [
    [`sha1:${SHA1.toUpperCase()}`, [null, SHA1, null], undefined],
    [`sha-256:${sha256}`, [null, null, sha256], undefined],
    ['sha256:4OYMIQUY7QOBJGX36TEJS35ZEQT24QPEMSNZGTFESWMRW6CSXBKQ====', [null, null, sha256], undefined],
    [`md5:${md5}`, [md5, null, null], undefined],
    ['md5:2QOYZWMPACZAJ2MABGMOZ6CCPY======', [md5, null, null], undefined],
    ['sha1:short', [null, null, null], '["sha1:short"]'],
    ['blake3:abc', [null, null, null], '["blake3:abc"]'],
  ]
  for (const [text, expected, extra] of written) {
    const { acquisition, extra: told } = await only(response(A, picture, { 'WARC-Payload-Digest': text }))
    assert.deepEqual([acquisition?.fetchedMd5, acquisition?.fetchedSha1, acquisition?.fetchedSha256], expected, text)
    assert.equal(told['warc.payloadDigest'], extra)
  }
})

test('heads that are not UTF-8, fold their lines or end them with a line feed alone are read', async () => {
  const head = Buffer.from('HTTP/1.1 200 OK\nX-Name: Universit\xe9\n folded\nX-More: \u0000\n\n', 'latin1')
  const block = Buffer.concat([head, picture])
  const { acquisition } = await only(
    record('response', { 'WARC-Target-URI': `<${A}>`, 'Content-Type': 'application/http' }, block),
  )
  assert.equal(acquisition?.finalUrl, A)
  assert.deepEqual(acquisition?.responseHeaders[0], { name: 'x-name', value: 'Université folded' })
})

test('heads without end are carried up to a bound, and how many were left out is told', async () => {
  const fields = Array.from({ length: 500 }, (_, n) => `X-${n}: ${'v'.repeat(300)}`).join('\n')
  const { acquisition, extra } = await only(response(A, picture, {}, fields))
  const carried = acquisition?.responseHeaders.length ?? 0
  assert.ok(carried > 100 && carried <= 200)
  assert.equal(extra['warc.responseHeadersLeftOut'], String(500 - carried))
})

test('an offset is where the record can be read; inside a larger gzip member it is told as that', async () => {
  const records = [warcinfo(), response(A, picture)]
  const [first] = records.map(({ length }) => length)
  assert.equal((await only(...records)).acquisition?.warcOffset, first)
  assert.equal((await only(packed(...records))).acquisition?.warcOffset, packed(warcinfo()).length)
  const { acquisition, extra } = await only(gzipSync(Buffer.concat(records)))
  assert.equal(acquisition?.warcOffset, null)
  assert.deepEqual([extra['warc.memberOffset'], extra['warc.offsetInMember']], ['0', String(first)])
})

test('a record that is spread over several gzip members is one record', async () => {
  const whole = response(A, Buffer.concat([picture, picture]))
  const members = [0, 100, 101, 400].map((from, at, all) => gzipSync(whole.subarray(from, all[at + 1])))
  const found = await everything(await file(...members, packed(response('http://example.org/b.png', picture))))
  assert.deepEqual(inShort(found), ['a.png', 'b.png'])
})

test('what the warcio library writes is read back', async () => {
  const made = WARCRecord.create(
    {
      url: A,
      date: DATE,
      type: 'response',
      httpHeaders: { 'Content-Type': 'image/png' },
      statusline: 'HTTP/1.1 200 OK',
    },
    Readable.from([picture]),
  )
  const bytes = await WARCSerializer.serialize(made, { gzip: true })
  const [found] = await everything(await file(Buffer.from(bytes)))
  assert.ok(found?.kind === 'item' && picture.equals(found.collected.payload))
  assert.match(found.collected.envelope.acquisition?.fetchedSha256 ?? '', /^[0-9a-f]{64}$/)
})

test('a file is a part whose identity changes with it, and one that is not there is wrong use', async () => {
  const path = await file(warcinfo())
  const identity = async (): Promise<string | null | undefined> => {
    for await (const part of warcImporter.parts([path], {})) return part.identity
    return undefined
  }
  const before = await identity()
  assert.equal(await identity(), before)
  await writeFile(path, Buffer.concat([warcinfo(), warcinfo()]))
  assert.notEqual(await identity(), before)
  for (const wrong of [folder, `${path}.gone`])
    await assert.rejects(imported(wrong), (error) => error instanceof SluiceError && error.code === 'USAGE')
})

test('WARC files are recognised by their names', async () => {
  const path = await file(warcinfo())
  const names = [path, folder, 'gone.warc', `${path}x`]
  assert.deepEqual(await Promise.all(names.map((name) => warcImporter.recognises(name))), [true, false, false, false])
})
