import { test } from 'node:test'
import kafkajs from 'kafkajs'
import { createKafka, withAdmin } from '../../services/platform/kafka/client.ts'
import { openBench } from './harness.ts'
import { crawlItem, sha256 } from './items.ts'
import { waitFor } from './waiting.ts'

const ITEMS = 6

test('a gate that may not judge yet tells of the items that have waited for half of the retention', async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  const door = bench.topic('crawl.items')
  await withAdmin(createKafka(bench.settings, 'test'), (admin) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [
        {
          type: kafkajs.ConfigResourceTypes.TOPIC,
          name: door,
          // Far longer than this takes: the broker does delete what is older.
          configEntries: [{ name: 'retention.ms', value: '60000' }],
        },
      ],
    }),
  )
  const value = await bench.registry.encode('crawl.items', crawlItem('a', { inline: Buffer.from('text') }))
  await bench.produce(
    'crawl.items',
    Array.from({ length: ITEMS }, () => ({ key: 'a', partition: 1, value })),
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
