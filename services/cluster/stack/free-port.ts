import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import type { Ports } from './servers.ts'

// Below the range from which the kernel takes ports for outgoing connections, which come and go while a server starts.
const FROM = 20_000
const BEFORE = 32_000
/** Ports of a block, of which the first one says whose it is. */
const BLOCK = 200

/** Whether somebody could listen on this port of 127.0.0.1 now. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  if (!(await canListen(server, port))) return false
  server.close()
  await once(server, 'close')
  return true
}

function canListen(server: Server, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(true))
  })
}

const offered = offer()

/**
 * A free port of 127.0.0.1, which is offered once. Until a server listens there it looks free to others: so each process has a block of ports to
 * itself for as long as it lives.
 */
export async function freePort(): Promise<number> {
  return (await offered.next()).value
}

/** One for each server of a stack, and for what each listens on beside it. */
export async function freePorts(): Promise<Ports> {
  return {
    kafka: await freePort(),
    controller: await freePort(),
    registry: await freePort(),
    management: await freePort(),
  }
}

async function* offer(): AsyncGenerator<number, never> {
  for (;;) {
    const first = await takeBlock()
    for (let port = first + 1; port < first + BLOCK; port++) if (await isFree(port)) yield port
  }
}

/** Whoever listens on its first port has a block; the system ends that with the process. */
async function takeBlock(): Promise<number> {
  const blocks = Math.floor((BEFORE - FROM) / BLOCK)
  for (let turn = randomInt(blocks); ; turn++) {
    const first = FROM + (turn % blocks) * BLOCK
    if (await canListen(createServer().unref(), first)) return first
  }
}
