import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { z } from 'zod'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { mendRequestQueue } from '../../../services/platform/kafka/request-queue.ts'
import { openBench } from '../../integration/harness.ts'
import { waitFor, watchFor } from '../../integration/waiting.ts'

/** The library's own look for answers that are late, and this test's. */
const FEW = 50

test('a connection with nothing to send sets no timers', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  await withAdmin(createKafka(bench.settings, 'request-queue'), async (admin) => {
    await admin.listTopics()
    let timers = 0
    const hook = createHook({
      init(_, type) {
        if (type === 'Timeout') timers += 1
      },
    }).enable()
    await watchFor(1, () => undefined)
    hook.disable()
    assert.ok(timers < FEW, `${timers} timers in a second`)
  })
})

type Queue = {
  push(request: object): void
  maybeThrottle(milliseconds: number): void
  fulfillRequest(answer: object): void
  destroy(): void
}
const queueClass = z.custom<new (options: object) => Queue>((found) => typeof found === 'function')

/** The library's queue of a connection, mended, and the requests that it has sent. */
function openQueue(maxInFlightRequests: number): { queue: Queue; sent: number[]; push(id: number): void } {
  mendRequestQueue()
  const RequestQueue = queueClass.parse(createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js'))
  const logger = { debug: () => undefined }
  const queue = new RequestQueue({ maxInFlightRequests, requestTimeout: 10_000, clientId: 'test', broker: '', logger })
  const sent: number[] = []
  return {
    queue,
    sent,
    push(correlationId) {
      const entry = { correlationId, resolve: () => undefined, reject: () => undefined }
      queue.push({ entry, expectResponse: true, sendRequest: () => sent.push(correlationId) })
    },
  }
}

test('what waits because the broker asked for a pause is sent behind it', async () => {
  const { queue, sent, push } = openQueue(5)
  queue.maybeThrottle(100)
  push(1)
  push(2)
  assert.deepEqual(sent, [])
  await waitFor('both are sent', () => sent.length === 2)
  queue.destroy()
})

test('what waits for the answer to another is sent behind it', async () => {
  const { queue, sent, push } = openQueue(1)
  push(1)
  push(2)
  assert.deepEqual(sent, [1])
  queue.fulfillRequest({ correlationId: 1, payload: null, size: 0 })
  await waitFor('the second is sent', () => sent.length === 2)
  queue.destroy()
})
