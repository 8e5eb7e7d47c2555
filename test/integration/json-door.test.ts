import assert from 'node:assert/strict'
import { test } from 'node:test'
import { acquisition, origin, supply } from '../../services/domain/envelope.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import type { Topic } from '../../services/domain/topics.ts'
import { readTopics, skipWithoutPython } from '../foreign/foreign.ts'
import { openBench } from './harness.ts'
import { crawlItem, pdq, photograph, sha256, tinyPicture } from './items.ts'
import { waitFor } from './waiting.ts'

test('Avro and JSON messages of the same item have the same envelope, verdict and outcome', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 1 })
  const [known, unknown, long] = [photograph('nagasaki-boats'), await tinyPicture(1), await tinyPicture(2)]
  await bench.importList('stand-in', [{ pdq: (await pdq(known)).hex }])
  await bench.store('intake').write(sha256(long), long)

  const items = [
    crawlItem('known', { inline: known }),
    crawlItem('unknown', { inline: unknown }, { sha256: sha256(unknown), size: unknown.length }),
    crawlItem('by-reference', { reference: sha256(long) }),
    crawlItem('wrong-digest', { inline: unknown }, { md5: '0'.repeat(32) }),
    crawlItem('wrong-case', { inline: unknown }, { md5: 'NO DIGEST' }),
    crawlItem('nothing', {}),
  ]
  for (const { envelope } of items) {
    envelope.acquisition = acquisition({
      requestedUrl: 'https://example.org/a',
      redirects: ['https://example.org/b'],
      finalUrl: 'https://example.org/ü',
      status: 200,
      responseHeaders: [{ name: 'etag', value: '"1"' }],
      fetchedAt: 1_767_225_600_000,
    })
    envelope.origin = origin({ caption: 'boats 🚤' })
    envelope.supply = supply({ kind: 'web-crawl', row: 2 ** 40 })
    envelope.extra = { shelf: '"3"' }
  }
  const event = { ce_type: 'org.example.picture', ce_source: '/crawler', ce_id: 'event-1' }
  for (const item of items) {
    const key = item.envelope.item?.id ?? ''
    const avro = { ...event, 'content-type': 'application/avro' }
    const json = { ...event, 'content-type': 'application/json' }
    const structured = { 'content-type': 'application/cloudevents+json' }
    const told = {
      specversion: '1.0',
      type: event.ce_type,
      source: event.ce_source,
      id: event.ce_id,
      data: asJson(item),
    }
    await bench.produce('crawl.items', [
      { partition: 0, key, value: await bench.registry.encode('crawl.items', item), headers: avro },
      { partition: 0, key, value: JSON.stringify(asJson(item)), headers: json },
      { partition: 0, key, value: JSON.stringify(told), headers: structured },
    ])
  }

  const gate = bench.startGate()
  await waitFor('the gate has caught up', () => bench.caughtUp())
  await bench.stopGate(gate)

  const outcomes: Topic[] = ['gate.clean', 'gate.quarantine', 'gate.review']
  const written: Topic[] = ['gate.envelopes', 'gate.verdicts', ...outcomes]
  const { records } = await readTopics(
    bench.settings,
    written.map((name) => bench.topic(name)),
  )
  const on = (topic: Topic) => records.filter((record) => record.topic === bench.topic(topic))
  assert.equal(on('gate.envelopes').length, 3 * items.length)
  assert.deepEqual(
    outcomes.map((name) => on(name).length),
    [6, 12, 0],
  )
  for (const topic of written) {
    for (const same of Map.groupBy(on(topic), ({ key }) => key).values()) {
      const [avro, ...others] = same.map(({ value }) => withoutPlace(value))
      assert.equal(others.length, 2)
      for (const other of others) assert.deepEqual(other, avro)
    }
  }
})

/** The item as a crawler without Avro tells it. */
function asJson({ envelope, inline }: CrawlItem): object {
  return { envelope, inline: inline?.toString('base64') }
}

/** A record's value without what says which message it is about, and when: that is never the same. */
function withoutPlace(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (name, inner) =>
    ['input', 'offset', 'judgedAt', 'heldReference', 'original', 'receipt'].includes(name) ? null : inner,
  )
}
