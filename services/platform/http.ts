import type { IncomingMessage, RequestOptions } from 'node:http'

/**
 * Node's HTTP, got without an import: an import loads all that a module exports, here also undici (another client, which is `fetch` too) and its parser.
 * With them a command that asks the schema registry takes a sixth more of the processor, and a gate a tenth more to start (measured), so neither asks by
 * `fetch`.
 */
export const http = process.getBuiltinModule('node:http')
const https = process.getBuiltinModule('node:https')

export type HttpAnswer = { status: number; headers: IncomingMessage['headers']; body: string }

/**
 * Asks by HTTP or HTTPS. By a connection of its own: one that is kept may be closed at the other end just when it is to be used again.
 * @param patienceMs for the whole answer
 * @returns what is answered, whatever the status; redirections are not followed
 * @throws {Error} when no whole answer comes, or none in time
 */
export async function askHttp(
  url: URL,
  patienceMs: number,
  {
    content,
    ...options
  }: Pick<RequestOptions, 'method' | 'headers'> & { content?: string | Uint8Array | undefined } = {},
): Promise<HttpAnswer> {
  const signal = AbortSignal.timeout(patienceMs)
  const { request } = url.protocol === 'https:' ? https : http
  try {
    return await new Promise<HttpAnswer>((resolve, reject) => {
      const question = request(url, { ...options, signal, agent: false }, (answer) =>
        read(answer).then(resolve, reject),
      )
      question.on('error', reject)
      // Without anybody who hears of it Node drops the question, and says nothing.
      question.on('upgrade', (_, socket) => {
        socket.destroy()
        reject(new Error('it answers in another protocol'))
      })
      question.end(content)
    })
  } catch (cause) {
    throw signal.aborted ? signal.reason : cause
  }
}

async function read(answer: IncomingMessage): Promise<HttpAnswer> {
  const body = Buffer.concat(await answer.toArray()).toString()
  return { status: answer.statusCode ?? 0, headers: answer.headers, body }
}
