import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A TCP door in front of a server, which can be shut and opened while clients know only the door. */
export type Gap = {
  /** on 127.0.0.1 */
  port: number
  /** Breaks all connections and refuses new ones. */
  cut(): void
  /** Lets through again. */
  mend(): void
  close(): Promise<void>
}

/** @param target host:port; @param state how it begins */
export async function createGap(target: string, state: 'cut' | 'mended' = 'mended'): Promise<Gap> {
  const { hostname, port } = new URL(`tcp://${target}`)
  const open = new Set<Socket>()
  let isCut = state === 'cut'

  const server = createServer((near) => {
    if (isCut) {
      near.resetAndDestroy()
      return
    }
    const far = connect({ host: hostname, port: Number(port) })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.pipe(to)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        open.delete(from)
        to.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  function cut(): void {
    isCut = true
    for (const socket of open) {
      // One that is ending can't be reset: Node would never get rid of it, and this process would not end.
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  return {
    port: addressOf(server.address()).port,
    cut,
    mend() {
      isCut = false
    },
    async close() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}

function addressOf(address: AddressInfo | string | null): AddressInfo {
  if (typeof address !== 'object' || address === null) throw new TypeError('not a TCP server')
  return address
}
