import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { test } from 'node:test'
import { createKafka, withAdmin } from '../../../services/platform/kafka/client.ts'
import { openBench } from '../../integration/harness.ts'
import { watchFor } from '../../integration/waiting.ts'

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
