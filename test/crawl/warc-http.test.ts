import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { bodyOf, parseHttpMessage, statusOf } from '../../services/crawl/warc/http-message.ts'
import { http } from './warc-files.ts'

const plain = Buffer.from('some text, and more of it. '.repeat(40))
const MIB = 1_048_576

function chunks(bytes: Buffer, size: number, end = '0\r\n\r\n'): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) {
    const part = bytes.subarray(at, at + size)
    parts.push(Buffer.from(`${part.length.toString(16)};x=y\r\n`), part, Buffer.from('\r\n'))
  }
  return Buffer.concat([...parts, Buffer.from(end)])
}

const gzip = gzipSync(plain)
const bodies: { what: string; fields: string; body: Buffer; text?: Buffer | null; cut?: boolean }[] = [
  { what: 'as it is', fields: 'A: b', body: plain },
  { what: 'with its length', fields: `Content-Length: ${plain.length}`, body: plain },
  { what: 'shorter than announced', fields: `Content-Length: ${plain.length + 1}`, body: plain, cut: true },
  { what: 'longer than announced', fields: `Content-Length: ${plain.length - 1}`, body: plain, cut: true },
  { what: 'in chunks', fields: 'Transfer-Encoding: chunked', body: chunks(plain, 100) },
  {
    what: 'in chunks with a wrong length',
    fields: 'Transfer-Encoding: chunked\nContent-Length: 5',
    body: chunks(plain, 100),
  },
  {
    what: 'in chunks without the last one',
    fields: 'Transfer-Encoding: chunked',
    body: chunks(plain, 100, ''),
    cut: true,
  },
  {
    what: 'in chunks, cut in one',
    fields: 'Transfer-Encoding: chunked',
    body: chunks(plain, 100).subarray(0, 168),
    text: plain.subarray(0, 150),
    cut: true,
  },
  { what: 'said to be in chunks, which were undone', fields: 'Transfer-Encoding: chunked', body: plain },
  { what: 'gzip', fields: 'Content-Encoding: gzip', body: gzip },
  { what: 'gzip by another name', fields: 'Content-Encoding: X-GZip', body: gzip },
  { what: 'gzip in chunks', fields: 'Transfer-Encoding: chunked\nContent-Encoding: gzip', body: chunks(gzip, 7) },
  { what: 'gzip, which was undone', fields: `Content-Encoding: gzip\nContent-Length: ${gzip.length}`, body: plain },
  { what: 'gzip cut short', fields: 'Content-Encoding: gzip', body: gzip.subarray(0, -8), cut: true },
  {
    what: 'gzip that is damaged',
    fields: 'Content-Encoding: gzip',
    body: Buffer.concat([gzip.subarray(0, 12), plain]),
    text: null,
  },
  { what: 'deflate', fields: 'Content-Encoding: deflate', body: deflateSync(plain) },
  { what: 'deflate without its header', fields: 'Content-Encoding: deflate', body: deflateRawSync(plain) },
  { what: 'br', fields: 'Content-Encoding: br', body: brotliCompressSync(plain) },
  { what: 'br, which was undone', fields: 'Content-Encoding: br', body: plain },
  { what: 'br cut short', fields: 'Content-Encoding: br', body: brotliCompressSync(plain).subarray(0, -2), cut: true },
  { what: 'zstd', fields: 'Content-Encoding: zstd', body: zstdCompressSync(plain) },
  { what: 'several', fields: 'Content-Encoding: gzip, br', body: brotliCompressSync(gzip) },
  { what: 'unknown', fields: 'Content-Encoding: compress', body: plain, text: null },
  { what: 'too many', fields: 'Content-Encoding: gzip, gzip, gzip, gzip', body: gzip, text: null },
  { what: 'a bomb', fields: 'Content-Encoding: gzip', body: gzipSync(Buffer.alloc(2 * MIB)), text: null },
]
for (const { what, fields, body, text = plain, cut = false } of bodies) {
  test(`a body that is ${what} is ${text === null ? 'refused' : `told${cut ? ', as cut short' : ''}`}`, async () => {
    const message = parseHttpMessage(http(`HTTP/1.1 200 OK\n${fields}`, body))
    assert.ok(message !== null)
    const found = await bodyOf(message, MIB)
    if (text === null) return assert.equal(typeof found, 'string')
    assert.ok(typeof found !== 'string', String(found))
    assert.equal(found.cut, cut)
    if (what !== 'br cut short') assert.equal(found.bytes.toString(), text.toString())
    else assert.ok(plain.subarray(0, found.bytes.length).equals(found.bytes))
  })
}

test('a status is read from any version of HTTP, and from nothing else', () => {
  const statuses = [
    'HTTP/1.1 200 OK',
    'HTTP/1.0 404',
    'HTTP/2 204',
    'http/3 200 ',
    'ICY 200 OK',
    'HTTP/1.1 20',
    'HTTP/1.1 2000',
    'GET /',
    '',
  ]
  assert.deepEqual(
    statuses.map((firstLine) => statusOf({ firstLine, fields: [], body: Buffer.alloc(0) })),
    [200, 404, 204, 200, 200, null, null, null, null],
  )
})

test('whatever stands in a response, it is told or refused, and nothing is thrown', async () => {
  const fields = fc.constantFrom(
    'Content-Encoding: gzip',
    'Content-Encoding: br',
    'Content-Encoding: deflate',
    'Transfer-Encoding: chunked',
    'Content-Length: 7',
    'X: \u0000',
  )
  const body = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.string().map((text) => Buffer.from(`5\r\n${text}`)),
    fc.nat(40).map((at) => gzip.subarray(0, at)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fields), body, async (some, bytes) => {
      const message = parseHttpMessage(http(['HTTP/1.1 200', ...some].join('\n'), Buffer.from(bytes)))
      assert.ok(message !== null)
      const found = await bodyOf(message, 1000)
      assert.ok(typeof found === 'string' || found.bytes.length <= 1000)
    }),
    { numRuns: 500 },
  )
})
