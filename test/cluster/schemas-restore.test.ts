import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { z } from 'zod'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import { exportSchemas } from '../../services/cluster/schemas-export.ts'
import {
  type ExportedSchemas,
  type ExportedSubject,
  readSchemasFile,
  schemasFileText,
} from '../../services/cluster/schemas-file.ts'
import { restoreSchemas } from '../../services/cluster/schemas-restore.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import { topicSchemas } from '../../services/domain/topics.ts'
import { schemaText } from '../../services/platform/avro.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { readSettings, type Settings } from '../../services/platform/settings.ts'
import { type OwnRegistry, startOwnRegistry } from '../faults/own-registry.ts'
import { startSluice } from '../integration/gate-process.ts'
import { crawlItem } from '../integration/items.ts'
import { waitFor } from '../integration/waiting.ts'

const PREFIX = 'lost.'
const door = 'crawl.items'
const doorSubject = `${PREFIX}${door}-value`
const MEDIA_TYPE = 'application/vnd.schemaregistry.v1+json'

/** A registry in which others came first, with our schemas, a crawler's newer one on the door, and one that refers to another's. */
async function startUsedRegistry(t: TestContext): Promise<{ own: OwnRegistry; settings: Settings; folder: string }> {
  const [own, folder] = await Promise.all([startOwnRegistry(t), mkdtemp(join(tmpdir(), 'sluice-schemas-'))])
  t.after(() => rm(folder, { recursive: true, force: true }))
  const settings = readSettings({ SLUICE_BROKERS: 'none:1', SLUICE_REGISTRY: own.url, SLUICE_PREFIX: PREFIX })
  for (const name of ['Other1', 'Other2', 'Other3'])
    await register(own.url, name.toLowerCase(), { schema: record(name) })
  await registerSchemas(settings)
  await register(own.url, doorSubject, { schema: withField('extraOfTheirs') })
  await register(own.url, 'shared-value', { schema: record('Shared') })
  const body = {
    schema: JSON.stringify({ type: 'record', name: 'Audit', fields: [{ name: 'shared', type: 'Shared' }] }),
    references: [{ name: 'Shared', subject: 'shared-value', version: 1 }],
  }
  await register(own.url, `${PREFIX}replay.audit-value`, body, 'NONE')
  return { own, settings, folder }
}

function record(name: string): string {
  return JSON.stringify({ type: 'record', name, fields: [] })
}

/** The door's schema, and one field more. */
function withField(name: string): string {
  const schema: { fields: object[] } = JSON.parse(schemaText(topicSchemas[door]))
  return JSON.stringify({ ...schema, fields: [...schema.fields, { name, type: 'int', default: 0 }] })
}

async function send(url: string, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${url}/${path}`, {
    method,
    headers: { 'content-type': MEDIA_TYPE },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const said: unknown = await answer.json()
  assert.ok(answer.ok, `${method} ${path} answers ${answer.status}: ${JSON.stringify(said)}`)
  return said
}

/** @returns the id */
async function register(url: string, subject: string, body: object, compatibility?: string): Promise<number> {
  if (compatibility !== undefined) await send(url, 'PUT', `config/${subject}`, { compatibility })
  return Number(Reflect.get(Object(await send(url, 'POST', `subjects/${subject}/versions`, body)), 'id'))
}

async function lose(own: OwnRegistry): Promise<void> {
  await own.stop()
  own.loseStorage()
  await own.start()
}

/** Runs `sluice schemas`. */
async function schemas(settings: Settings, words: readonly string[]) {
  const environment = { SLUICE_BROKERS: 'none:1', SLUICE_REGISTRY: settings.registry, SLUICE_PREFIX: settings.prefix }
  const child = startSluice(['schemas', ...words], environment)
  const { code } = await child.ended
  return { code, stdout: child.stdout(), stderr: child.stderr() }
}

const idsOf = ({ subjects }: ExportedSchemas) =>
  subjects.flatMap(({ subject, versions }) => versions.map(({ version, id }) => `${subject} ${version} ${id}`))

test('a registry that lost everything is restored from an export: what was written is read, and new ids are new', async (t) => {
  const { own, settings, folder } = await startUsedRegistry(t)
  const file = join(folder, 'schemas.json')
  const value = await createRegistry(settings).encode(door, crawlItem('a', {}))

  assert.partialDeepStrictEqual(await schemas(settings, ['export', file, '--json']), {
    code: 0,
    stdout: JSON.stringify({ file, subjects: 12, versions: 14 }),
  })
  const text = await readFile(file, 'utf8')
  assert.equal((await schemas(settings, ['export', file])).code, 0)
  assert.ok((await readFile(file, 'utf8')) === text, 'a second export is the same to the byte')
  assert.ok(`${(await schemas(settings, ['export', '-'])).stdout}\n` === text, 'and so is one that is printed')
  const elsewhere = await schemas({ ...settings, prefix: 'other.' }, ['export', file])
  assert.equal(elsewhere.code, 2)
  assert.match(elsewhere.stderr, /is the export of the prefix "lost\."/)
  const exported = await readSchemasFile(file)
  assert.ok(exported !== null)
  const highest = Math.max(...exported.subjects.flatMap(({ versions }) => versions.map(({ id }) => id)))
  const crawlers = exported.subjects.find(({ subject }) => subject === doorSubject)?.versions[1]
  assert.equal(crawlers?.schema, withField('extraOfTheirs'))

  await lose(own)
  const late = await schemas(settings, ['export', file])
  assert.equal(late.code, 1)
  assert.match(late.stderr, /no longer has what .*\[SCHEMA_IDS_CHANGED\]/)
  assert.ok((await readFile(file, 'utf8')) === text, 'a registry that is empty does not replace the export')

  const done = { subjects: 12, versions: 14, restored: 14, compatibilities: 12 }
  assert.partialDeepStrictEqual(await schemas(settings, ['restore', file, '--json']), {
    code: 0,
    stdout: JSON.stringify(done),
  })
  assert.ok(schemasFileText(await exportSchemas(settings)) === text, 'it is as it was, ids included')
  const read = await createRegistry(settings).decode<CrawlItem>(door, value)
  assert.equal(read.value.envelope.item?.id, 'a')
  const theirs = Buffer.concat([value, Buffer.from([84])])
  theirs.writeInt32BE(crawlers?.id ?? 0, 1)
  assert.deepEqual((await createRegistry(settings).decode(door, theirs)).unknownFields, { extraOfTheirs: '42' })

  const again = await schemas(settings, ['restore', file])
  assert.partialDeepStrictEqual(again, { code: 0, stdout: 'the registry has all 14 versions of 12 subjects' })
  await registerSchemas(settings)
  assert.deepEqual(idsOf(await exportSchemas(settings)), idsOf(exported), 'registering what is there adds nothing')

  const fresh = await register(own.url, doorSubject, { schema: withField('newer') })
  assert.ok(fresh > highest, `${fresh} is above ${highest}`)
  assert.ok((await register(own.url, 'strangers-value', { schema: record('Stranger') })) > fresh)
  assert.equal((await restoreSchemas(settings, exported)).restored, 0, 'what came since is left')
})

test('a restore that was cut short goes on, wherever that was; what does not agree is told, and nothing is written', async (t) => {
  const { own, settings, folder } = await startUsedRegistry(t)
  const exported = await exportSchemas(settings)
  const file = join(folder, 'schemas.json')
  await writeFile(file, schemasFileText(exported))
  await lose(own)
  const environment = { SLUICE_BROKERS: 'none:1', SLUICE_REGISTRY: own.url, SLUICE_PREFIX: PREFIX }
  const isThere = async (path: string): Promise<boolean> => (await fetch(`${own.url}/${path}`)).ok
  for (const path of ['schemas/ids/4', `subjects/${doorSubject}/versions/1`]) {
    const child = startSluice(['schemas', 'restore', file], environment)
    await waitFor(path, async () => !child.running() || (await isThere(path)), { everyMs: 1 })
    child.kill('SIGKILL')
    await child.ended
    assert.ok(await isThere(path))
  }
  await restoreSchemas(settings, exported)
  assert.deepEqual(await exportSchemas(settings), exported)

  const longer = structuredClone(exported)
  const subject = longer.subjects.find((each) => each.subject === doorSubject)
  subject?.versions.push({ ...added, id: 800, version: 3, schema: record('Looser'), references: [] })
  await restoreSchemas(settings, longer)
  assert.deepEqual(await exportSchemas(settings), longer, 'also where what is missing does not fit the rest')

  const strangers = await register(own.url, 'stranger', { schema: record('Stranger') })
  const before = await everything(own)
  for (const { name, change, sentence } of disagreements) {
    await t.test(name, async () => {
      const changed = structuredClone(longer)
      const inside = changed.subjects.find((each) => each.subject === doorSubject)
      assert.ok(inside !== undefined)
      change(inside, strangers)
      await assert.rejects(restoreSchemas(settings, changed), { code: 'SCHEMA_IDS_CHANGED', message: sentence })
      assert.deepEqual(await everything(own), before)
    })
  }
})

const added = { id: 900, version: 4, schemaType: 'AVRO', schema: record('Added'), references: [] } as const
const nothing =
  /\. Nothing was written; empty the registry, or name an empty one by SLUICE_REGISTRY, and restore again$/.source

/** What an export may say that a registry contradicts. */
const disagreements: ReadonlyArray<{
  name: string
  change: (door: ExportedSubject, strangers: number) => void
  sentence: RegExp
}> = [
  {
    name: 'a version has another id',
    change: ({ versions }) => void versions.map((each) => Object.assign(each, { id: each.id + 900 })),
    sentence: new RegExp(
      `: it has version 1 of ${doorSubject} under the id 4, not 904 \\(and 2 more such\\)${nothing}`,
    ),
  },
  {
    name: 'a version is another schema',
    change: ({ versions: [first] }) => Object.assign(first ?? {}, { schema: record('Another') }),
    sentence: new RegExp(`it has another schema as version 1 of ${doorSubject}, with the same id 4${nothing}`),
  },
  {
    name: 'an id is of another schema',
    change: ({ versions }, strangers) => versions.push({ ...added, id: strangers, references: [] }),
    sentence: new RegExp(`it has another schema under the id \\d+, that of version 4 of ${doorSubject}${nothing}`),
  },
  {
    name: 'a schema has another id by a stranger',
    change: ({ versions }) => versions.push({ ...added, schema: record('Stranger'), references: [] }),
    sentence: new RegExp(`the schema of version 4 of ${doorSubject} has the id \\d+ there, not 900${nothing}`),
  },
  {
    name: 'a subject has what the export does not, and lacks what it has',
    change: ({ versions }) => versions.splice(1, 1, { ...added, references: [] }),
    sentence: new RegExp(
      `it has a version 2 of ${doorSubject} that the export does not have, and lacks others${nothing}`,
    ),
  },
]

/** What a registry holds, as far as anybody can see. */
async function everything(own: OwnRegistry): Promise<unknown> {
  const subjects = z.array(z.string()).parse(await send(own.url, 'GET', 'subjects'))
  const versions = await Promise.all(subjects.map((subject) => send(own.url, 'GET', `subjects/${subject}/versions`)))
  const ids = await Promise.all([4, 900].map(async (id) => (await fetch(`${own.url}/schemas/ids/${id}`)).text()))
  return { subjects, versions, ids }
}

const whole: ExportedSchemas = {
  prefix: PREFIX,
  subjects: [
    {
      subject: doorSubject,
      compatibility: 'FULL_TRANSITIVE',
      versions: [{ id: 7, version: 1, schemaType: 'AVRO', schema: record('R'), references: [] }],
    },
  ],
}

for (const { name, text, sentence } of [
  { name: 'edited', text: schemasFileText(whole).replace('"id": 7', '"id": 8'), sentence: /was edited or damaged/ },
  { name: 'cut short', text: schemasFileText(whole).slice(0, 200), sentence: /is not JSON/ },
  { name: 'of another format', text: '{"format":"other"}', sentence: /is no export of schemas/ },
  {
    name: 'of a later version',
    text: schemasFileText(whole).replace('"formatVersion": 1', '"formatVersion": 2'),
    sentence: /has the format version 2, and this `sluice` knows 1/,
  },
  {
    name: 'with a field too many',
    text: schemasFileText(whole).replace('"id": 7', '"ix": 7'),
    sentence: /not as an export/,
  },
  { name: 'of another prefix', text: schemasFileText({ ...whole, prefix: 'x.' }), sentence: /is of the prefix "x\."/ },
  { name: 'missing', text: null, sentence: /there is no file/ },
]) {
  test(`a file that is ${name} is refused, and the registry not asked`, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-schemas-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'schemas.json')
    if (text !== null) await writeFile(file, text)
    const settings = readSettings({
      SLUICE_BROKERS: 'none:1',
      SLUICE_REGISTRY: 'http://192.0.2.1',
      SLUICE_PREFIX: PREFIX,
    })
    const { code, stderr } = await schemas(settings, ['restore', file])
    assert.equal(code, 2)
    assert.match(stderr, sentence)
  })
}
