import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { z } from 'zod'
import { createKafka } from '../../../services/platform/kafka/client.ts'
import { openBench } from '../../integration/harness.ts'
import { waitFor } from '../../integration/waiting.ts'

type Runner = {
  running: boolean
  fetchManager: { start(): Promise<void>; stop(): Promise<void> }
  fetch(nodeId: string): Promise<unknown[]>
}
const runnerClass = z.custom<{ prototype: Runner }>((found) => typeof found === 'function')
const ENOUGH = 1000

test('readers that are made anew while their consumer is being stopped end with it', async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const consumer = createKafka(bench.settings, 'consumer-stop').consumer({ groupId: randomUUID() })
  t.after(() => consumer.disconnect())
  const { prototype } = runnerClass.parse(createRequire(import.meta.url)('kafkajs/src/consumer/runner.js'))
  const { fetch } = prototype
  let runner: Runner | null = null
  let asked = 0
  prototype.fetch = function (nodeId) {
    runner = this
    // Else this process would hear of nothing any more, and this test would not fail but never end.
    if (!this.running && ++asked > ENOUGH) throw new Error('the readers ask without end')
    return fetch.call(this, nodeId)
  }
  t.after(() => {
    prototype.fetch = fetch
  })
  await consumer.subscribe({ topics: [bench.topic('crawl.items')] })
  await consumer.run({ eachBatch: () => Promise.resolve() })
  const { fetchManager } = await waitFor('the consumer reads', () => runner)

  const stopped = consumer.stop()
  await fetchManager.stop()
  // So the library does behind a stop that it does not know of, when it has seen that a broker came or went.
  await fetchManager.start()
  await stopped
  assert.ok(asked <= 2)
})
