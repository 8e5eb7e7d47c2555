import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { mendSilentBrokers } from '../../../services/platform/kafka/silent-brokers.ts'
import { openBench } from '../../integration/harness.ts'

/** Accepts connections and says nothing, as a system does for a broker that stands still. */
async function openSilentBroker(): Promise<{ address: string; heard(): number; close(): void }> {
  let heard = 0
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', ({ length }) => {
      heard += length
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard: () => heard,
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('all that turns clients away from silent brokers is in place, however often it is asked for', () => {
  const places = [
    ['network/connection.js', 'send'],
    ['network/connection.js', 'processData'],
    ['broker/index.js', 'connect'],
    ['broker/index.js', 'isConnected'],
    ['cluster/brokerPool.js', 'withBroker'],
  ] as const
  const methods = (): unknown[] =>
    places.map(([file, name]) => Reflect.get(createRequire(import.meta.url)(`kafkajs/src/${file}`).prototype, name))
  const before = methods()
  mendSilentBrokers()
  const after = methods()
  for (const [at, [file, name]] of places.entries()) assert.notEqual(after[at], before[at], `${file}: ${name}`)
  mendSilentBrokers()
  assert.deepEqual(methods(), after)
})

test('a broker that says nothing is given up once, and not asked again by others; a client goes on by the next one', async (t) => {
  const silent = await openSilentBroker()
  t.after(() => silent.close())
  const { settings } = await openBench(t, { partitions: 1 })
  const first = createKafka({ ...settings, brokers: [silent.address] }, 'first', undefined, { retries: 0 }).admin()
  await assert.rejects(first.connect(), /timed out/)
  const asked = silent.heard()
  assert.ok(asked > 0)

  const second = createKafka({ ...settings, brokers: [silent.address] }, 'second', undefined, { retries: 0 }).admin()
  await assert.rejects(second.connect(), /lately said nothing/)
  // From whichever it begins: the next try is at the other one, which may be slow.
  const brokers = [silent.address, ...settings.brokers]
  const nexts = Array.from({ length: 8 }, async () => {
    const next = createKafka({ ...settings, brokers }, 'next', undefined, { retries: 5 }).admin()
    await next.connect()
    assert.ok((await next.listTopics()).length > 0)
    await next.disconnect()
  })
  await Promise.all(nexts)
  assert.equal(silent.heard(), asked)
})
