import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import type { CrawlItem } from '../../services/domain/records.ts'
import { DOOR } from '../../services/domain/topics.ts'
import { openBench } from '../integration/harness.ts'
import { tinyPicture } from '../integration/items.ts'
import { readDoor } from './read-door.ts'
import { packed, record, response } from './warc-files.ts'

test('a damaged WARC ends with code 1 and tells where; its good records are on the door, each import with the same ids', async (t) => {
  const bench = await openBench(t)
  const path = join(bench.folder, 'crawl.warc.gz')
  const [first, cut, last] = await Promise.all(
    ['a', 'b', 'c'].map(async (name, at) => packed(response(`http://example.org/${name}.png`, await tinyPicture(at)))),
  )
  assert.ok(first !== undefined && cut !== undefined && last !== undefined)
  const revisit = packed(record('revisit', {}))
  await writeFile(path, Buffer.concat([first, cut.subarray(0, 300), revisit, last]))
  const summary = z.object({
    published: z.literal(2),
    leftOut: z.object({ revisit: z.literal(1) }),
    bad: z.literal(1),
    badList: z.tuple([
      z.object({ file: z.literal(`${path}, offset ${first.length}`), field: z.literal(''), expected: z.string() }),
    ]),
  })
  const words = ['crawl', 'warc', path, '--dataset', 'autumn']
  summary.parse(JSON.parse((await bench.sluice([...words, '--json'], 1)).stdout()))
  assert.match(
    (await bench.sluice(words, 1)).stdout(),
    new RegExp(`bad: .*crawl.warc.gz, offset ${first.length}: expected`),
  )
  const items = await Promise.all(
    (await readDoor(bench)).map(({ value }) => bench.registry.decode<CrawlItem>(DOOR, value ?? Buffer.alloc(0))),
  )
  const envelopes = items.map(({ value }) => value.envelope)
  assert.deepEqual(envelopes.map(({ acquisition }) => acquisition?.finalUrl?.slice(-5)).sort(), [
    'a.png',
    'a.png',
    'c.png',
    'c.png',
  ])
  assert.equal(new Set(envelopes.map(({ item }) => item?.id)).size, 2)
  assert.ok(envelopes.every(({ supply }) => supply?.dataset === 'autumn' && supply.shard === 'crawl.warc.gz'))
})
