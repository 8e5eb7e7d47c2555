import { test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import kafkajs from 'kafkajs'
import { openBench } from './harness.ts'
import { crawlItem, sha256 } from './items.ts'
import { waitFor } from './waiting.ts'

const ITEMS = 6
/** Three quarters of the retention. */
const AGE_MS = 2_700_000

test('a gate that may not judge yet tells of the items that have waited for half of the retention', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const door = bench.topic('crawl.items')
  // Their age comes with the items, so that what is overdue is far from being deleted.
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: door }
  const wanted = { 'retention.ms': '3600000', 'message.timestamp.type': 'CreateTime' }
  const configEntries = Object.entries(wanted).map(([name, value]) => ({ name, value }))
  await bench.ask((admin) => admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries }] }))
  const told = () =>
    bench.ask(async (admin) => {
      const resources = [{ ...resource, configNames: Object.keys(wanted) }]
      const [answer] = (await admin.describeConfigs({ includeSynonyms: false, resources })).resources
      return Object.fromEntries(
        answer?.configEntries.map(({ configName, configValue }) => [configName, configValue]) ?? [],
      )
    })
  await waitFor('the broker takes ages as they come', async () => isDeepStrictEqual(await told(), wanted))
  const value = await bench.registry.encode('crawl.items', crawlItem('a', { inline: Buffer.from('text') }))
  const timestamp = String(Date.now() - AGE_MS)
  await bench.produce(
    'crawl.items',
    Array.from({ length: ITEMS }, () => ({ key: 'a', partition: 1, value, timestamp })),
  )
  const gate = bench.startGate()
  /** lag and overdue items, by partition */
  const gauges = async (): Promise<string> => {
    const text = await gate.metrics()
    const of = (name: string): string[] =>
      [0, 1].map(
        (partition) => new RegExp(`^${name}\\{partition="${partition}"\\} (\\d+)$`, 'm').exec(text)?.[1] ?? '-',
      )
    return `${of('sluice_lag_items')} ${of('sluice_overdue_items')}`
  }
  await waitFor('the items are overdue', async () => (await gauges()) === `0,${ITEMS} 0,${ITEMS}`)
  await bench.produce('crawl.items', [{ key: 'a', partition: 0, value }])
  await waitFor('a young item is behind, not overdue', async () => (await gauges()) === `1,${ITEMS} 0,${ITEMS}`)

  await bench.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
  await waitFor('the gate has caught up', () => bench.caughtUp())
  await waitFor('nothing is overdue', async () => (await gauges()) === '0,0 0,0')
})
