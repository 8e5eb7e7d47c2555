import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { answers } from '../../services/cluster/stack/answering.ts'
import { freePorts } from '../../services/cluster/stack/free-port.ts'
import { javaCommand } from '../../services/cluster/stack/java.ts'
import { endMarked, markOf, startDetached } from '../../services/cluster/stack/owned-process.ts'
import { servers } from '../../services/cluster/stack/servers.ts'
import { readSettings } from '../../services/platform/settings.ts'
import { serveHttp } from '../integration/http-server.ts'
import { waitFor } from '../integration/waiting.ts'

/** A schema registry of one test, on a port that stays the same. */
export type OwnRegistry = {
  /** URL of its API */
  url: string
  start(): Promise<void>
  stop(): Promise<void>
  /** What a lost disk does: only while it is stopped. */
  loseStorage(): void
}

/** Starts a real registry with storage of its own; both are gone after the test. */
export async function startOwnRegistry(t: TestContext): Promise<OwnRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-registry-'))
  const data = join(folder, 'data')
  const mark = markOf(folder, 'registry')
  const ports = await freePorts()
  const url = `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`
  const settings = readSettings({ SLUICE_BROKERS: 'none:1', SLUICE_REGISTRY: url })

  const registry: OwnRegistry = {
    url,
    async start() {
      await mkdir(data, { recursive: true })
      startDetached(javaCommand(), [mark, ...servers.registry.words(ports)], data, join(folder, 'console.log'))
      await waitFor('the registry is up', () => answers.registry(settings))
    },
    stop: () => endMarked(mark, 10_000),
    loseStorage: () => rmSync(data, { recursive: true }),
  }
  t.after(async () => {
    await endMarked(mark, 0)
    await rm(folder, { recursive: true, force: true })
  })
  await registry.start()
  return registry
}

const SLOW_MS = 1500
const JSON_TYPE = { 'content-type': 'application/json' }
const page = '<!doctype html><title>Sign in</title>'

/** What stands in front of a registry when it does not let through. */
const answersOf = {
  garbage: (response) => response.writeHead(200, JSON_TYPE).end('{"id":"seven","schema":['),
  'empty answers': (response) => response.writeHead(200, JSON_TYPE).end('[]'),
  'faults of its own': (response) => response.writeHead(500, JSON_TYPE).end('{"error_code":50001}'),
  'a page': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end(page),
  'a page that says not found': (response) => response.writeHead(404, { 'content-type': 'text/html' }).end(page),
  redirects: (response) => response.writeHead(302, { location: '/apis/elsewhere' }).end(),
  silence: () => undefined,
} as const satisfies Readonly<Record<string, (response: ServerResponse) => unknown>>

export type Illness = keyof typeof answersOf | 'slow'
export const illnesses = [...Object.keys(answersOf), 'slow'] as Illness[]

/** A proxy before a registry that can fall ill. @param url of the registry's API @returns the URL to go through */
export async function startIllProxy(
  t: TestContext,
  url: string,
): Promise<{ url: string; become(illness: Illness | 'well'): void; asked(): number }> {
  let illness: Illness | 'well' = 'well'
  let asked = 0
  const { origin, pathname } = new URL(url)

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Uint8Array[] = []
    for await (const part of request) parts.push(part)
    if (illness === 'slow') await wait(SLOW_MS)
    const answer = await fetch(`${origin}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
      ...(parts.length === 0 ? {} : { body: Buffer.concat(parts) }),
    })
    response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
  }

  const address = await serveHttp(t, (request, response) => {
    asked += 1
    if (illness !== 'well' && illness !== 'slow') answersOf[illness](response)
    else pass(request, response).catch(() => response.destroy())
  })
  return {
    url: `${address}${pathname}`,
    become: (next) => {
      illness = next
    },
    asked: () => asked,
  }
}
