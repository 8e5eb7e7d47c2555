import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { closeWhenSilent } from '../../../services/platform/kafka/connection.ts'

test('a connection is closed when what was asked is not answered, and stays while it is', async (t) => {
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (data) => data.toString() === 'answer me' && socket.write('answer'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const opened: net.Socket[] = []
  t.after(() => {
    for (const socket of opened) socket.destroy()
    server.close()
  })
  const open = async (): Promise<net.Socket> => {
    const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(socket, 'connect')
    opened.push(socket)
    closeWhenSilent(socket, 1500)
    return socket
  }
  const [silent, talking, idle] = await Promise.all([open(), open(), open()])
  const talk = setInterval(() => talking.write('answer me'), 500)
  talking.resume()
  silent.write('are you there?')
  const ended = AbortSignal.timeout(20_000)
  const [error] = await once(silent, 'close', { signal: ended }).catch((reason: unknown) => [reason])
  clearInterval(talk)
  assert.match(String(error), /says nothing/)
  assert.ok(!talking.destroyed && !idle.destroyed, 'the others are still open')
})
