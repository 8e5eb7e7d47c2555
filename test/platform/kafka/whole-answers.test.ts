import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import fc from 'fast-check'
import { z } from 'zod'
import { connectToBroker } from '../../../services/platform/kafka/connection.ts'
import { mendWholeAnswers } from '../../../services/platform/kafka/whole-answers.ts'
import { waitFor, watchFor } from '../../integration/waiting.ts'
import { makeAuthority, skipWithoutOpenssl } from './certificates.ts'

type Answer = { correlationId: number; payload: Buffer }
type Connection = {
  connect(): Promise<boolean>
  disconnect(): Promise<boolean>
  isConnected(): boolean
  socket: net.Socket | null
  requestQueue: { fulfillRequest(answer: Answer): void }
}
const connectionClass = z.custom<new (options: object) => Connection>((found) => typeof found === 'function')

/** Time for a connection to be made. */
const CONNECTION_MS = 2000

/** One of the library's connections to a server of the test's own, and the answers that came by it: number and digest. */
async function openConnection(
  t: TestContext,
  secured?: { key: Buffer; cert: Buffer; ca: Buffer },
): Promise<{
  connection: Connection
  answers: Array<[number, string]>
  /** the server's side of the connection that was made last */
  peer(): net.Socket
}> {
  mendWholeAnswers()
  const peers: net.Socket[] = []
  const take = (socket: net.Socket): void => {
    socket.on('error', () => undefined)
    peers.push(socket)
  }
  const server = secured === undefined ? net.createServer(take) : tls.createServer(secured, take)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const Connection = connectionClass.parse(createRequire(import.meta.url)('kafkajs/src/network/connection.js'))
  const silent = { debug: () => undefined, error: () => undefined, namespace: () => silent }
  const connection = new Connection({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    logger: silent,
    socketFactory: connectToBroker,
    ssl: secured === undefined ? null : { ca: secured.ca },
    requestTimeout: 10_000,
    connectionTimeout: CONNECTION_MS,
  })
  const answers: Array<[number, string]> = []
  connection.requestQueue.fulfillRequest = ({ correlationId, payload }) => {
    answers.push([correlationId, digest(payload)])
  }
  t.after(async () => {
    await connection.disconnect()
    for (const peer of peers) peer.destroy()
    server.close()
  })
  await connection.connect()
  await waitFor('the server has the connection', () => peers.length > 0)
  return {
    connection,
    answers,
    peer: () => peers.at(-1) ?? assert.fail('no connection was made'),
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex')
}

/** An answer as a broker sends it. */
function framed(correlationId: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeInt32BE(payload.length + 4)
  head.writeInt32BE(correlationId, 4)
  return Buffer.concat([head, payload])
}

const length = fc.oneof(
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 200_000, max: 330_000 }),
  fc.integer({ min: 400_000, max: 3_000_000 }),
)

test('answers of any length arrive as they were sent, however they are cut and joined', async (t) => {
  const { answers, peer } = await openConnection(t)
  const source = randomBytes(3_000_000)
  await fc.assert(
    fc.asyncProperty(
      fc.array(length, { minLength: 1, maxLength: 6 }),
      fc.array(fc.oneof(fc.integer({ min: 1, max: 10 }), fc.integer({ min: 1, max: 400_000 })), { maxLength: 8 }),
      async (lengths, cuts) => {
        answers.splice(0)
        const payloads = lengths.map((each) => source.subarray(source.length - each))
        let rest = Buffer.concat(payloads.map((payload, at) => framed(at, payload)))
        for (const cut of cuts) {
          // A piece on its own, as far as the system lets it be.
          await new Promise((resolve) => peer().write(rest.subarray(0, cut), resolve))
          await new Promise(setImmediate)
          rest = rest.subarray(cut)
        }
        peer().write(rest)
        await waitFor('all answers are there', () => answers.length === payloads.length, { everyMs: 1 })
        assert.deepEqual(
          answers,
          payloads.map((payload, at) => [at, digest(payload)]),
        )
      },
    ),
    { numRuns: 200 },
  )
})

for (const [name, whole, sent] of [
  ['a short', 100, 20],
  ['a long', 2_000_000, 700_000],
  ['hardly any of a', 2_000_000, 3],
] as const) {
  test(`what a connection that breaks off leaves of ${name} answer is not read by the next one`, async (t) => {
    const { connection, answers, peer } = await openConnection(t)
    const first = peer()
    const broken = framed(1, randomBytes(whole)).subarray(0, sent)
    await new Promise((resolve) => first.write(broken, resolve))
    first.end()
    await waitFor('the client has seen the end', () => first.destroyed)
    await connection.connect()
    await waitFor('there is another connection', () => peer() !== first)
    const payload = randomBytes(1000)
    peer().write(framed(2, payload))
    await waitFor('the answer is there', () => answers.length > 0, { seconds: 10 })
    assert.deepEqual(answers, [[2, digest(payload)]])
  })
}

test('who connects while a connection is being made does not end it, nor is ended by it later', {
  skip: skipWithoutOpenssl(),
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-answers-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const authority = makeAuthority(folder, 'authority')
  const { certificate, key } = authority.issue('broker')
  const secured = { key: readFileSync(key), cert: readFileSync(certificate), ca: readFileSync(authority.file) }
  const { connection, peer } = await openConnection(t, secured)
  const before = peer()
  before.end()
  await waitFor('the connection has ended', () => before.destroyed)
  const first = connection.connect()
  await waitFor('it is half made', () => connection.socket?.connecting === false, { everyMs: 0 })
  assert.deepEqual(await Promise.all([first, connection.connect()]), [true, true])
  await watchFor((2 * CONNECTION_MS) / 1000, () => assert.ok(connection.isConnected()))
})
