import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { registerSchemas } from '../../services/cluster/registered-schemas.ts'
import { stackStatus, startStack, stopStack } from '../../services/cluster/stack/stack.ts'
import { applyTopics } from '../../services/cluster/topics.ts'
import { parseTopicsFile } from '../../services/cluster/wanted-topics.ts'
import { createProducer } from '../../services/crawl/producer.ts'
import { emptyEnvelope } from '../../services/domain/envelope.ts'
import { DOOR } from '../../services/domain/topics.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { followTopic } from '../../services/platform/kafka/follow-topic.ts'
import type { Settings } from '../../services/platform/settings.ts'
import { adminSettings } from '../integration/shared-stack.ts'
import { waitFor } from '../integration/waiting.ts'

// A stack of its own: its broker is killed.
const root = mkdtempSync(join(tmpdir(), 'sluice-crawl-'))
const options = { root, environment: {} }
const topicsFile = join(import.meta.dirname, '../../infra/topics.yaml')
let settings: Settings

before(async () => {
  settings = adminSettings(await startStack(options), { SLUICE_STORES: join(root, 'stores') })
  await applyTopics(settings, parseTopicsFile(readFileSync(topicsFile, 'utf8'), topicsFile))
  await registerSchemas(settings)
})
after(async () => {
  await stopStack(options)
  rmSync(root, { recursive: true, force: true })
})

async function killBroker(): Promise<void> {
  const find = async () => (await stackStatus(options)).servers.find(({ server }) => server === 'kafka')
  const pid = (await find())?.pid
  assert.ok(pid)
  process.kill(pid, 'SIGKILL')
  await waitFor('the killed broker is gone', async () => (await find())?.state === 'down')
}

test('while the broker is away publish holds its caller back; when it is back every item is written once and in order', async (t) => {
  const window = 20
  const publisher = await createProducer(settings, { items: window, batchItems: 8 })
  let accepted = 0
  let written = 0
  let enough = false
  t.after(async () => {
    enough = true
    await publisher.close().catch(() => undefined)
  })
  const publishing = (async () => {
    while (!enough) {
      const item = { id: `item-${accepted}`, mediaTypeClaimed: null, collectedAt: null }
      const collected = { envelope: { ...emptyEnvelope(), item }, payload: Buffer.from(item.id) }
      const place = (await publisher.publish(collected)).written
      accepted++
      void place.then(() => written++)
    }
  })()
  await waitFor('some items are written', () => written > 100, { everyMs: 5 })
  await killBroker()
  const whenKilled = written
  assert.ok(accepted - written <= window, `${accepted - written} items are under way`)
  await startStack(options)
  await waitFor('items are written again', () => written > whenKilled + window)
  enough = true
  await publishing
  await publisher.close()
  assert.equal(written, accepted)

  const numbers = new Map<number, number[]>()
  const follower = followTopic({
    kafka: createKafka(settings, 'read-door'),
    topic: DOOR,
    onRecord: ({ partition, key }) => {
      numbers.set(partition, [...(numbers.get(partition) ?? []), Number(String(key).slice('item-'.length))])
    },
  })
  await follower.reachedEnd
  await follower.stop()
  const ascending = (list: number[]) => list.toSorted((a, b) => a - b)
  for (const found of numbers.values()) assert.deepEqual(found, ascending(found))
  const all = Array.from({ length: accepted }, (_, n) => n)
  assert.deepEqual(ascending([...numbers.values()].flat()), all)
})
