import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import type { RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { askHttp } from '../../services/platform/http.ts'
import { serveHttp } from '../integration/http-server.ts'

const PATIENCE_MS = 60_000

async function serve(t: TestContext, listener: RequestListener): Promise<URL> {
  return new URL('/a?b=c', await serveHttp(t, listener))
}

test('what is asked arrives, and the whole answer comes back, whatever its status', async (t) => {
  const url = await serve(t, async (request, response) => {
    const { method, url: path, headers } = request
    const asked = { method, path, type: headers['content-type'], content: await text(request) }
    response.writeHead(418, { 'x-more': 'yes' }).end(JSON.stringify(asked))
  })
  const headers = { 'content-type': 'text/x' }
  for (const content of [undefined, 'ä', Buffer.alloc(200_000, 'y')]) {
    const { status, headers: told, body } = await askHttp(url, PATIENCE_MS, { method: 'PUT', headers, content })
    assert.deepEqual([status, told['x-more']], [418, 'yes'])
    assert.deepEqual(JSON.parse(body), {
      method: 'PUT',
      path: '/a?b=c',
      type: 'text/x',
      content: content?.toString() ?? '',
    })
  }
})

test('a redirection is an answer', async (t) => {
  const url = await serve(t, (_, response) => response.writeHead(302, { location: '/elsewhere' }).end())
  const { status, headers } = await askHttp(url, PATIENCE_MS)
  assert.deepEqual([status, headers.location], [302, '/elsewhere'])
})

for (const { what, listener, patienceMs, expected } of [
  { what: 'nothing', listener: () => undefined, patienceMs: 300, expected: { name: 'TimeoutError' } },
  {
    what: 'half an answer, and no end of it',
    listener: (_, response) => void response.writeHead(200, { 'content-length': 10 }).write('half'),
    patienceMs: 300,
    expected: { name: 'TimeoutError' },
  },
  {
    what: 'half an answer',
    listener: (_, response) =>
      void response.writeHead(200, { 'content-length': 10 }).write('half', () => response.destroy()),
    patienceMs: PATIENCE_MS,
    expected: { message: /aborted/ },
  },
  {
    what: 'another protocol',
    listener: ({ socket }) =>
      void socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'),
    patienceMs: PATIENCE_MS,
    expected: { message: /another protocol/ },
  },
  {
    what: 'something else than HTTP',
    listener: ({ socket }) => void socket.end('what?\r\n\r\n'),
    patienceMs: PATIENCE_MS,
    expected: { message: /Parse Error/ },
  },
] as const satisfies Array<{ what: string; listener: RequestListener; patienceMs: number; expected: object }>) {
  test(`whoever answers with ${what} has not answered`, async (t) => {
    await assert.rejects(askHttp(await serve(t, listener), patienceMs), expected)
  })
}

test('nobody is asked who is not there, nor in clear where the address says otherwise', async (t) => {
  const url = await serve(t, (_, response) => response.end('clear'))
  await assert.rejects(askHttp(new URL('http://127.0.0.1:1'), PATIENCE_MS), { code: 'ECONNREFUSED' })
  url.protocol = 'https:'
  await assert.rejects(askHttp(url, PATIENCE_MS), /SSL|TLS|packet/)
})

test('a gate and its thread for lists load no second HTTP client', async () => {
  const services = new URL('../../services/', import.meta.url)
  const files = ['platform/run-cli.ts', 'gate/run-gate.ts', 'gate/gate.ts', 'gate/lists-worker.ts']
  const loads = files.map((file) => `await import(${JSON.stringify(new URL(file, services).href)})`)
  const told = 'console.log(process.moduleLoadList.filter((name) => /http|undici/.test(name)).join("\\n"))'
  const program = [...loads, told].join('\n')
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program])
  assert.match(stdout, /NativeModule http$/m)
  assert.doesNotMatch(stdout, /undici/)
})
