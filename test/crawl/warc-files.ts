import { gzipSync } from 'node:zlib'
import type { Found } from '../../services/crawl/importer.ts'
import { readWarc } from '../../services/crawl/warc/read-warc.ts'
import type { Envelope } from '../../services/domain/records.ts'

/** A record's head fields besides type and length; a field with undefined is left out. */
export type Head = Readonly<Record<string, string | undefined>>

export const DATE = '2026-03-04T05:06:07Z'

/** A WARC record, byte for byte. */
export function record(type: string, head: Head, block: string | Buffer = ''): Buffer {
  const bytes = Buffer.from(block)
  const fields: Head = { 'WARC-Type': type, 'WARC-Date': DATE, 'Content-Length': String(bytes.length), ...head }
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]))
  return Buffer.concat([Buffer.from(`WARC/1.1\r\n${lines.join('\r\n')}\r\n\r\n`), bytes, Buffer.from('\r\n\r\n')])
}

/** An HTTP answer, byte for byte; `head` ends without a line end. */
export function http(head: string, body: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from(`${head.replaceAll('\n', '\r\n')}\r\n\r\n`), Buffer.from(body)])
}

/** A captured answer of status 200. */
export function response(
  url: string,
  body: string | Buffer,
  head: Head = {},
  fields = 'Content-Type: image/png',
): Buffer {
  return record(
    'response',
    {
      'WARC-Record-ID': `<urn:test:${url}>`,
      'WARC-Target-URI': url,
      'Content-Type': 'application/http; msgtype=response',
      ...head,
    },
    http(`HTTP/1.1 200 OK${fields === '' ? '' : `\n${fields}`}`, body),
  )
}

/** A gzip member a record, as nearly all tools write them. */
export function packed(...records: readonly Buffer[]): Buffer {
  return Buffer.concat(records.map((each) => gzipSync(each)))
}

export async function everything(path: string, longest?: number): Promise<Found[]> {
  const found: Found[] = []
  const supplied = { supplier: null, dataset: null, version: null }
  for await (const one of readWarc(path, { file: 'x.warc', supplied, ...(longest === undefined ? {} : { longest }) }))
    found.push(one)
  return found
}

export function envelopesOf(found: readonly Found[]): Envelope[] {
  return found.flatMap((one) => (one.kind === 'item' ? [one.collected.envelope] : []))
}

/** What was found, one word each: the end of an item's URL, why something is left out, where something is bad. */
export function inShort(found: readonly Found[]): string[] {
  return found.map((one) => {
    if (one.kind === 'left-out') return one.reason
    if (one.kind === 'bad') return `bad${/, (offset.*)$/.exec(one.file)?.[1]?.replace('offset', '') ?? ''}`
    return one.collected.envelope.acquisition?.finalUrl?.split('/').at(-1) ?? ''
  })
}
