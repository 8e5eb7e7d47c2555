import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Metrics } from '../platform/metrics.ts'

/** What the gate as a whole says of itself. */
export type Readiness = {
  ready: boolean
  /** everything that is waited for; partition null where it concerns the whole gate */
  waiting: Array<{ partition: number | null; code: string; sentence: string; since: string }>
}

/**
 * Serves `/healthz` (the process lives), `/readyz` (200 or 503, with what is waited for) and `/metrics` (Prometheus).
 * @param listen port 0 picks a free one
 * @param beforeScrape brings gauges up to date
 */
export async function startOperations(
  listen: { host: string; port: number },
  metrics: Metrics,
  readiness: () => Readiness,
  beforeScrape: () => void,
): Promise<{ port: number; stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    const path = request.url?.split('?')[0]
    if (path === '/healthz') return answer(200, 'text/plain', 'alive\n')
    if (path === '/readyz') {
      const state = readiness()
      return answer(state.ready ? 200 : 503, 'application/json', `${JSON.stringify(state)}\n`)
    }
    if (path !== '/metrics') return answer(404, 'text/plain', 'there are /healthz, /readyz and /metrics\n')
    beforeScrape()
    metrics.registry.metrics().then(
      (text) => answer(200, metrics.registry.contentType, text),
      () => answer(500, 'text/plain', 'metrics are not available\n'),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(listen.port, listen.host, resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
