import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

// Below the range from which the kernel takes ports for outgoing connections, which come and go while a server starts.
const FROM = 20_000
const BEFORE = 32_000
/** Ports that processes started one after the other choose from, each its own. */
const EACH = 200

/** Whether somebody could listen on this port of 127.0.0.1 now. */
export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** Those that this process has looked at: until a server listens there, a port looks free. */
const chosen = new Set<number>()

/**
 * A free port of 127.0.0.1. By chance, and of a part of them that the process id names, so that those who choose at once do not meet; of all of them
 * once that part is used up.
 */
export async function freePort(): Promise<number> {
  const first = FROM + (process.pid % Math.floor((BEFORE - FROM) / EACH)) * EACH
  for (;;) {
    const port = chosen.size < EACH / 2 ? randomInt(first, first + EACH) : randomInt(FROM, BEFORE)
    if (chosen.has(port)) continue
    chosen.add(port)
    if (await isFree(port)) return port
  }
}
