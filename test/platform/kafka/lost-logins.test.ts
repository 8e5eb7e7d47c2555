import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { openBench } from '../../integration/harness.ts'

/** A door to a broker, whose first connections it breaks after so many answers. */
async function openDoor(
  t: TestContext,
  broker: string,
  answers: readonly number[],
): Promise<{ address: string; opened(): number }> {
  const { hostname, port } = new URL(`tcp://${broker}`)
  const sockets = new Set<Socket>()
  let opened = 0
  const server = createServer((near) => {
    const most = answers[opened++] ?? Number.POSITIVE_INFINITY
    const far = connect({ host: hostname, port: Number(port) })
    for (const socket of [near, far]) sockets.add(socket.on('error', () => undefined))
    near.pipe(far)
    let answered = 0
    far.on('data', (bytes) => {
      answered += 1
      if (answered <= most) near.write(bytes)
      else near.resetAndDestroy()
    })
    near.on('close', () => far.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, opened: () => opened }
}

test('a connection that is lost while the client says who it is, is tried again; a wrong password is not', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const { sasl } = bench.settings
  if (sasl === null) return t.skip('this cluster asks nobody who they are')
  const [broker = ''] = bench.settings.brokers
  // After the versions; after the handshake; after the first of two answers.
  const door = await openDoor(t, broker, [1, 2, 3])
  const settings = { ...bench.settings, brokers: [door.address] }
  const retry = { initialRetryTime: 10, retries: 5 }
  await withAdmin(createKafka(settings, 'lost', undefined, retry), (admin) => admin.listTopics())
  assert.ok(door.opened() >= 4, `${door.opened()} connections`)

  const before = door.opened()
  const liar = createKafka({ ...settings, sasl: { ...sasl, password: 'wrong' } }, 'liar', undefined, retry)
  await assert.rejects(withAdmin(liar, (admin) => admin.listTopics()))
  assert.equal(door.opened(), before + 1)
})
