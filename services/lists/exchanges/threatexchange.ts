import { open } from 'node:fs/promises'
import { z } from 'zod'
import { SluiceError } from '../../domain/errors.ts'
import { codeOf } from '../../platform/error-code.ts'
import {
  type Change,
  commonSettings,
  type Exchange,
  entryId,
  hashOf,
  opinionsOf,
  type Page,
  type Tools,
} from './exchange.ts'
import { jsonRecords } from './json-records.ts'

const PAGE_RECORDS = 1000

const recordSchema = z.object({
  id: z.coerce.string().min(1),
  type: z.string(),
  indicator: z.string().min(1),
  last_updated: z.coerce.number().nullish().catch(null),
  should_delete: z.boolean().nullish(),
  descriptors: z.object({ data: z.array(z.unknown()) }).nullish(),
})
const tagsSchema = z.union([
  z.array(z.string()),
  z.object({ data: z.array(z.object({ text: z.string() })) }).transform(({ data }) => data.map(({ text }) => text)),
])
const descriptorSchema = z.object({
  owner: z.object({ id: z.coerce.string() }),
  status: z.string().nullish(),
  tags: tagsSchema.nullish(),
  reactions: z.array(z.object({ key: z.string(), value: z.string() })).nullish(),
})

/**
 * A file as Meta's ThreatExchange answers `threat_updates`, and as python-threatexchange keeps it: JSON, a list of indicators with their descriptors,
 * or an object whose `data` that is. It is all there is: what is not in it is gone. It was true when the file was last written.
 */
export const threatexchange = z
  .strictObject({ kind: z.literal('threatexchange'), file: z.string().min(1), ...commonSettings })
  .transform(({ file, ...settings }): Exchange => {
    return { ...settings, source: `threatexchange ${file}`, pages: (_, tools) => pages(file, tools) }
  })

async function* pages(path: string, { now }: Tools): AsyncGenerator<Page, void> {
  const file = await open(path).catch((cause: unknown) => {
    throw new SluiceError('CONFIG_INVALID', `${path}: the file can not be read (${codeOf(cause)})`, { cause })
  })
  try {
    const before = await file.stat()
    const asOf = Math.min(before.mtimeMs, now())
    let page: Page = { changes: [], read: 0, corrupt: 0, position: null, anew: true, endsRange: false, asOf }
    for await (const text of recordsOf(path, file.createReadStream({ autoClose: false }))) {
      const { change, isCorrupt } = readRecord(text)
      page.read += 1
      if (change !== null) page.changes.push(change)
      if (isCorrupt) page.corrupt += 1
      if (page.read < PAGE_RECORDS) continue
      yield page
      page = { changes: [], read: 0, corrupt: 0, position: null, endsRange: false, asOf }
    }
    const after = await file.stat()
    if (after.mtimeMs !== before.mtimeMs || after.size !== before.size) {
      throw new SluiceError('EXCHANGE_UNREADABLE', `${path} was written to while it was read: sync again`)
    }
    yield { ...page, endsRange: true }
  } finally {
    await file.close()
  }
}

async function* recordsOf(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  try {
    yield* jsonRecords(chunks)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    const expected = 'expected JSON, whole: a list of indicators, or an object whose data it is'
    throw new SluiceError('EXCHANGE_UNREADABLE', `${path}: ${expected}`, { cause })
  }
}

const signalNames = new Map([
  ['HASH_PDQ', 'pdq'],
  ['HASH_MD5', 'md5'],
  ['HASH_VIDEO_MD5', 'md5'],
  ['HASH_SHA1', 'sha1'],
  ['HASH_SHA256', 'sha256'],
])

function readRecord(text: string): { change: Change | null; isCorrupt: boolean } {
  const parsed = recordSchema.safeParse(jsonOf(text)).data
  if (parsed === undefined) return { change: null, isCorrupt: true }
  const { type, indicator, descriptors } = parsed
  const other = type
    .replace(/^HASH_/, '')
    .toLowerCase()
    .replaceAll('_', '-')
  const hash = hashOf(signalNames.get(type) ?? other, indicator)
  if (hash === null) return { change: null, isCorrupt: true }
  const id = entryId(parsed.id)
  const told = (descriptors?.data ?? []).map((descriptor) => descriptorSchema.safeParse(descriptor).data)
  const readable = told.filter((descriptor) => descriptor !== undefined)
  const tags = [...new Set(readable.flatMap((descriptor) => descriptor.tags ?? []))].sort().join(', ')
  const entry = {
    id,
    signals: [hash],
    classification: tags.slice(0, 1000).toWellFormed() || null,
    opinions: opinionsOf(opinionsIn(readable)),
    // Nobody stands for it any more.
    withdrawn: parsed.should_delete === true || told.length === 0,
  }
  return { change: { id, at: parsed.last_updated ?? null, entry }, isCorrupt: readable.length < told.length }
}

/** What an owner says of an indicator counts; else how a member has reacted to what others say. */
function opinionsIn(descriptors: ReadonlyArray<z.infer<typeof descriptorSchema>>): Array<[string, string]> {
  const said = descriptors.map(({ owner, status }): [string, string] => {
    if (status === 'MALICIOUS') return [owner.id, 'positive']
    return [owner.id, status === 'NON_MALICIOUS' ? 'negative' : 'seed']
  })
  const owners = new Set(said.map(([owner]) => owner))
  const reactions = descriptors.flatMap(({ reactions }) => reactions ?? [])
  const reacted = reactions.flatMap(({ key, value }): Array<[string, string]> => {
    const opinion = key === 'HELPFUL' ? 'positive' : key === 'DISAGREE_WITH_TAGS' ? 'negative' : null
    return opinion === null ? [] : value.split(',').map((member) => [member.trim(), opinion])
  })
  return [...said, ...reacted.filter(([member]) => member !== '' && !owners.has(member))]
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
