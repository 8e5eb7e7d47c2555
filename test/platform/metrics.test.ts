import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMetrics } from '../../services/platform/metrics.ts'

test('how late the event loop was is told, and told once', async () => {
  const { registry } = createMetrics()
  const told = async (): Promise<number> => {
    const text = await registry.getSingleMetricAsString('sluice_loop_delay_seconds')
    return Number(/^sluice_loop_delay_seconds (.*)$/m.exec(text)?.[1])
  }
  await sleep(50)
  holdUp(300)
  await sleep(50)
  const late = await told()
  // The look that was held up may have been due a little later than the holding up began.
  assert.ok(late >= 0.25, `told ${late} after 0.3 s`)
  assert.equal(await told(), 0, 'told once')
})

function holdUp(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}
