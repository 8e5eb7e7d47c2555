import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { problemsWithRegistered, registerSchemas } from '../../services/cluster/registered-schemas.ts'
import { incompatibility, problemsOfFiles } from '../../services/cluster/schema-files.ts'
import { topicSchemas, topics } from '../../services/domain/topics.ts'
import { serveHttp } from '../integration/http-server.ts'
import { adminSettings, sharedStack } from '../integration/shared-stack.ts'

function ownSubjects() {
  const prefix = `t-${randomBytes(5).toString('hex')}.`
  return adminSettings(sharedStack(), { SLUICE_PREFIX: prefix })
}

/** Asks the registry by hand. */
async function send(settings: { registry: string }, method: string, path: string, body: object): Promise<number> {
  const headers = { 'content-type': 'application/vnd.schemaregistry.v1+json' }
  const answer = await fetch(`${settings.registry}/${path}`, { method, headers, body: JSON.stringify(body) })
  await answer.text()
  return answer.status
}

const record = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'R', fields })
const a = { name: 'a', type: 'string' }

test('every schema is Avro, and types with one name are the same in all files', () => {
  assert.deepEqual(problemsOfFiles([...Object.values(topicSchemas), 'held-original']), [])
})

test('a schema file that is not there is named', () => {
  assert.match(problemsOfFiles(['no-such-schema'])[0] ?? '', /^schemas\/no-such-schema\.avsc: /)
})

for (const { change, other, fits } of [
  { change: 'nothing', other: record(a), fits: true },
  { change: 'a field with a default', other: record(a, { name: 'b', type: 'int', default: 0 }), fits: true },
  { change: 'a field without a default', other: record(a, { name: 'b', type: 'int' }), fits: false },
  { change: 'another type', other: record({ name: 'a', type: 'int' }), fits: false },
  { change: 'a wider type', other: record({ name: 'a', type: ['null', 'string'] }), fits: false },
]) {
  test(`a version that differs by ${change} ${fits ? 'fits' : 'does not fit'}, whichever came first`, () => {
    assert.equal(incompatibility(record(a), other) === null, fits)
    assert.equal(incompatibility(other, record(a)) === null, fits)
  })
}

test('registering twice gives the same ids, and what is registered fits', async () => {
  const settings = ownSubjects()
  const first = await registerSchemas(settings)
  assert.deepEqual(await registerSchemas(settings), first)
  assert.deepEqual(
    first.map(({ subject }) => subject),
    topics.map((topic) => `${settings.prefix}${topic}-value`),
  )
  assert.deepEqual(await problemsWithRegistered(settings), [])
})

const troubles: { trouble: string; show(response: ServerResponse): void }[] = [
  { trouble: 'is slow', show: () => undefined },
  { trouble: 'says that it is in trouble', show: (response) => response.writeHead(503).end('{"message":"later"}') },
  { trouble: 'hangs up', show: (response) => response.destroy() },
]
for (const { trouble, show } of troubles) {
  test(`a registry that ${trouble} when it is to register is not one that refuses`, async (t) => {
    const settings = ownSubjects()
    const { origin, pathname } = new URL(settings.registry)
    const address = await serveHttp(t, async (request, response) => {
      if (request.method === 'POST') return show(response)
      const body = await text(request)
      const asked = { method: request.method ?? '', headers: { 'content-type': 'application/json' } }
      const answer = await fetch(`${origin}${request.url}`, body === '' ? asked : { ...asked, body })
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
    })
    await assert.rejects(registerSchemas({ ...settings, registry: `${address}${pathname}` }), {
      code: 'REGISTRY_UNREACHABLE',
    })
  })
}

test('a subject refuses a schema that its readers could not read', async () => {
  const settings = ownSubjects()
  await registerSchemas(settings)
  const path = `subjects/${settings.prefix}crawl.items-value/versions`
  const schema = JSON.stringify({ type: 'record', name: 'CrawlItem', namespace: 'sluice', fields: [a] })
  assert.equal(await send(settings, 'POST', path, { schema }), 409)
})

test('a registered version that ours does not fit is found, and registering beside it is refused', async () => {
  const settings = ownSubjects()
  const subject = `${settings.prefix}gate.decisions-value`
  const schema = JSON.stringify({ type: 'record', name: 'DecisionRecord', namespace: 'sluice', fields: [a] })
  assert.equal(await send(settings, 'POST', `subjects/${subject}/versions`, { schema }), 200)
  const problems = await problemsWithRegistered(settings)
  assert.equal(problems.length, 1)
  assert.match(problems[0] ?? '', /^schemas\/decision\.avsc does not fit version 1 of /)
  await assert.rejects(registerSchemas(settings), { code: 'CONFIG_INVALID' })
})
