import type { IncomingHttpHeaders } from 'node:http'
import { serveHttp } from '../../integration/http-server.ts'

/** What a server does instead of answering: it tears the connection, amid its answer; never answers; or answers something else. */
export type Fault = 'tear' | 'hang' | Answer
export type Answer = { status?: number; headers?: Record<string, string>; body?: string | Buffer }

export type Served = {
  /** where it is, without a slash at its end */
  url: string
  /** the requests for pages, in their order: path and query */
  pages: string[]
  /** by number of a request for a page, from 1 */
  faults: Map<number, Fault | ((body: string) => Fault)>
  /** called at each request for a page, with its number */
  onPage: (number: number) => void
}

export type Ask = { url: URL; headers: IncomingHttpHeaders }

/**
 * A server on a port of its own, until the test ends.
 * @param answer the body for a request, or another answer
 * @param isPage whether a request is one for a page
 * @param clock what its Date header says; milliseconds since the epoch
 */
export async function serve(
  t: { after(work: () => void): void },
  answer: (ask: Ask) => string | Answer,
  isPage: (path: string) => boolean,
  clock: () => number,
): Promise<Served> {
  const served: Served = { url: '', pages: [], faults: new Map(), onPage: () => undefined }
  served.url = await serveHttp(t, (request, response) => {
    const url = new URL(request.url ?? '', served.url)
    const given = answer({ url, headers: request.headers })
    let told: Fault = typeof given === 'string' ? { body: given } : given
    if (isPage(url.pathname)) {
      served.pages.push(url.pathname + url.search)
      const fault = served.faults.get(served.pages.length)
      if (fault !== undefined)
        told = typeof fault === 'function' ? fault(typeof given === 'string' ? given : '') : fault
      served.onPage(served.pages.length)
    }
    if (told === 'hang') return
    response.setHeader('date', new Date(clock()).toUTCString())
    if (told === 'tear') {
      response.writeHead(200, { 'content-length': '1000' })
      response.write('{"some', () => request.socket.destroy())
      return
    }
    response.writeHead(told.status ?? 200, told.headers)
    response.end(told.body ?? '')
  })
  return served
}
