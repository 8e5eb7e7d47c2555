import type { AddressInfo } from 'node:net'
import { http } from '../platform/http.ts'
import type { Metrics } from '../platform/metrics.ts'
import type { GateStatus } from './status.ts'

/** Whether the gate judges, everything that it waits for when it does not, and how its scanners are kept apart. */
export type Readiness = Pick<GateStatus, 'ready' | 'waiting'> & Pick<GateStatus['scanners'], 'isolation'>

/**
 * Serves `/healthz` (the process lives), `/readyz` (200 or 503, with what is waited for), `/status` (all that `sluice gate status`
 * shows) and `/metrics` (Prometheus).
 * @param listen port 0 picks a free one
 * @param beforeScrape brings gauges up to date
 */
export async function startOperations(
  listen: { host: string; port: number },
  metrics: Metrics,
  sources: { readiness: () => Readiness; status: () => Promise<GateStatus>; beforeScrape: () => void },
): Promise<{ port: number; stop: () => Promise<void> }> {
  const server = http.createServer((request, response) => {
    const answer = (status: number, type: string, body: string): void => {
      response.writeHead(status, { 'content-type': type }).end(body)
    }
    const path = request.url?.split('?')[0]
    if (path === '/healthz') return answer(200, 'text/plain', 'alive\n')
    if (path === '/readyz') {
      const state = sources.readiness()
      return answer(state.ready ? 200 : 503, 'application/json', `${JSON.stringify(state)}\n`)
    }
    if (path === '/status') {
      sources.status().then(
        (status) => answer(200, 'application/json', `${JSON.stringify(status)}\n`),
        () => answer(500, 'text/plain', 'the status is not available\n'),
      )
      return
    }
    if (path !== '/metrics') return answer(404, 'text/plain', 'there are /healthz, /readyz, /status and /metrics\n')
    sources.beforeScrape()
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
