import net from 'node:net'
import tls from 'node:tls'
import type { ISocketFactory } from 'kafkajs'

/** Longer than any answer takes: joining a group may wait for its other members, 15 s and a little. */
const SILENCE_MS = 25_000
const LOOK_MS = 1000
const KEEP_ALIVE_MS = 60_000

/**
 * Connections to brokers. One whose broker was asked and has said nothing for {@link SILENCE_MS} is closed: the client library gives up
 * the request, but never the connection, and goes on asking a broker that stands still or is cut off, though others have taken over.
 */
export const connectToBroker: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? tls.connect({ host, port, ...(net.isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
    : net.connect({ host, port }, onConnect)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  closeWhenSilent(socket)
  return socket
}

/** @param silenceMs after which a question without an answer ends the connection */
export function closeWhenSilent(socket: net.Socket, silenceMs = SILENCE_MS): void {
  let read = 0
  /** bytes that had been written when something was last read */
  let answered = 0
  let askedAt: number | null = null
  const look = setInterval(() => {
    if (socket.bytesRead !== read) {
      read = socket.bytesRead
      answered = socket.bytesWritten
      askedAt = null
    } else if (socket.bytesWritten > answered) {
      askedAt ??= performance.now()
      if (performance.now() - askedAt > silenceMs) socket.destroy(new Error('the broker says nothing'))
    }
  }, LOOK_MS)
  look.unref()
  socket.once('close', () => clearInterval(look))
}
