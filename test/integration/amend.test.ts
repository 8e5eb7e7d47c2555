import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { acquisition, supply } from '../../services/domain/envelope.ts'
import type { CrawlItem } from '../../services/domain/records.ts'
import { findPassages } from '../../services/trace/find-passages.ts'
import { printedJson } from '../../services/trace/printed.ts'
import { toldPassage } from '../../services/trace/told-passage.ts'
import { parseWanted } from '../../services/trace/wanted.ts'
import { type Bench, openBench, shippedProvenance } from './harness.ts'
import { crawlItem, photograph, sha256, tinyPicture } from './items.ts'
import { waitFor } from './waiting.ts'

const SUPPLIER = 'Example Pictures'
const FOUND = 'https://pictures.example.org/boats/17.jpg'

const passage = z.looseObject({
  key: z.string(),
  verdict: z.looseObject({
    input: z.object({ cluster: z.string(), topic: z.string(), partition: z.number(), offset: z.number() }),
    outcome: z.string(),
    reasons: z.array(z.string()),
    missing: z.array(z.object({ fact: z.string(), enforced: z.boolean() })),
    sha256: z.string().nullable(),
  }),
  reasons: z.array(z.object({ code: z.string(), meaning: z.string(), action: z.string() })),
  envelopeState: z.string(),
  envelope: z.looseObject({
    payload: z.looseObject({ reference: z.string().nullable() }),
    acquisition: z.looseObject({ requestedUrl: z.string().nullable() }),
    amendments: z.array(
      z.object({
        fields: z.array(z.string()),
        source: z.string(),
        addedBy: z.string(),
        addedAt: z.number(),
        original: z.string(),
      }),
    ),
  }),
  completeness: z.object({ known: z.array(z.string()), unknown: z.array(z.string()), actionable: z.boolean() }),
  bytes: z.object({ store: z.string(), payload: z.string().nullable(), original: z.string().nullable() }),
  clean: z.looseObject({ reference: z.string() }).nullable(),
})
const trace = z.object({
  wanted: z.string(),
  masked: z.boolean(),
  leftOut: z.number(),
  denied: z.array(z.string()),
  passages: z.array(passage),
})
const gap = z.strictObject({
  shard: z.string().nullable(),
  row: z.number().nullable(),
  itemId: z.string(),
  required: z.array(z.string()),
  wanted: z.array(z.string()),
})
const group = z.looseObject({
  name: z.string().nullable(),
  items: z.number(),
  facts: z.record(z.string(), z.number()),
  actionable: z.number(),
  held: z.number(),
})
const report = z.object({ items: z.number(), by: z.record(z.string(), z.array(group)) })

/** As `sluice trace --json` tells it, without the start of a process. */
async function passagesOf(bench: Bench, wanted: string): Promise<Array<z.infer<typeof passage>>> {
  const { passages } = await findPassages(bench, parseWanted(wanted, bench.topic('crawl.items')), () => undefined)
  return z.array(passage).parse(JSON.parse(printedJson(passages.map((found) => toldPassage(found, false)))))
}

async function gaps(bench: Bench): Promise<Array<z.infer<typeof gap>>> {
  const { stdout } = await bench.sluice(['provenance', 'report', '--supplier', SUPPLIER, '--rows', '--json'])
  const lines = stdout()
    .split('\n')
    .filter((line) => line !== '')
  return lines.map((line) => gap.parse(JSON.parse(line))).sort((a, b) => (a.row ?? 0) - (b.row ?? 0))
}

/** Found by a crawl, when is told and where is not. */
function supplied(item: CrawlItem, row: number): CrawlItem {
  const known = {
    supply: supply({ kind: 'web-crawl', supplier: SUPPLIER, dataset: 'boats', shard: 'boats-003.tar', row }),
    acquisition: acquisition({ fetchedAt: 1_767_225_600_000 }),
  }
  return { ...item, envelope: { ...item.envelope, ...known } }
}

test('what a supplier left out is listed, asked for, brought in, and judged again with the bytes that the gate has seen', async (t) => {
  const bench = await openBench(t, { partitions: 2, provenance: shippedProvenance() })
  const known = photograph('nagasaki-boats')
  await bench.importList('stand-in', [{ id: 'boats', sha256: sha256(known) }])
  const [inline, referred, complete, lied] = await Promise.all([1, 2, 3, 4].map(tinyPicture))
  assert.ok(inline && referred && complete && lied)
  await bench.store('intake').write(sha256(referred), referred)
  const items = [
    supplied(crawlItem('inline', { inline }), 1),
    supplied(crawlItem('referred', { reference: sha256(referred) }), 2),
    supplied(crawlItem('known', { inline: known }), 3),
    supplied(crawlItem('complete', { inline: complete }), 4),
    supplied(crawlItem('lied', { inline: lied }, { sha256: sha256(complete) }), 5),
  ]
  const ofComplete = items[3]?.envelope.acquisition
  assert.ok(ofComplete)
  ofComplete.requestedUrl = FOUND
  const publish = async (some: readonly CrawlItem[]): Promise<void> => {
    const messages = some.map(async (item, index) => ({
      key: item.envelope.item?.id ?? '',
      partition: index % bench.partitions,
      value: await bench.registry.encode('crawl.items', item),
    }))
    await bench.produce('crawl.items', await Promise.all(messages))
    await waitFor('the gate has caught up', () => bench.caughtUp())
  }
  const gate = bench.startGate()
  const strange = await bench.registry.encode('crawl.items', crawlItem('strange', { inline }))
  await bench.produce('crawl.items', [
    { key: 'strange', partition: 0, value: strange, headers: { ce_subject: 'other' } },
  ])
  await publish(items)
  // From now on only the gate's own stores have it.
  await rm(join(bench.storeFolder('intake'), sha256(referred).slice(0, 2)), { recursive: true })

  const lacking = ['lastSeen', 'placeFound', 'remoteAddress', 'uploader']
  await t.test('an item without the place where it was found is held for that, with the fact named', async () => {
    const passages = await passagesOf(bench, 'inline')
    assert.deepEqual(
      passages.map(({ verdict }) => [verdict.outcome, verdict.reasons, verdict.missing]),
      [['quarantine', ['PROVENANCE_INCOMPLETE'], lacking.map((fact) => ({ fact, enforced: fact === 'placeFound' }))]],
    )
    assert.deepEqual(passages[0]?.bytes.payload, sha256(inline))
    assert.equal(passages[0]?.completeness.actionable, false)
  })

  const wanted = ['lastSeen', 'remoteAddress', 'uploader']
  const gapAt = (row: number, itemId: string, required = ['placeFound']) => ({
    shard: 'boats-003.tar',
    row,
    itemId,
    required,
    wanted,
  })
  await t.test(
    'the list for the supplier names shard, row and what is missing, and nothing that the gate found',
    async () => {
      assert.deepEqual(await gaps(bench), [
        gapAt(1, 'inline'),
        gapAt(2, 'referred'),
        gapAt(3, 'known'),
        gapAt(4, 'complete', []),
        gapAt(5, 'lied'),
      ])
      const csv = (await bench.sluice(['provenance', 'report', '--supplier', SUPPLIER, '--rows'])).stdout()
      assert.match(csv, /^shard,row,itemId,required,wanted\n/)
      assert.match(csv, /^boats-003\.tar,3,known,placeFound,lastSeen remoteAddress uploader$/m)
      assert.doesNotMatch(csv, /KNOWN|quarantine|stand-in/)
    },
  )

  const manifest = join(bench.folder, 'answer.csv')
  const amend = (expectedCode: number, file = manifest) =>
    bench.sluice(
      ['crawl', 'amend', '--manifest', file, '--source', 'their letter', '--added-by', 'A. Example', '--json'],
      expectedCode,
    )
  await writeFile(
    manifest,
    [
      'shard,row,itemId,required,wanted,acquisition.requestedUrl,liveness.lastSeenAt,liveness.status',
      `boats-003.tar,1,inline,placeFound,uploader,${FOUND},1767225600000,online`,
      `boats-003.tar,2,referred,placeFound,uploader,${FOUND},,`,
      `boats-003.tar,3,known,placeFound,uploader,${FOUND},,`,
      `boats-003.tar,4,complete,,uploader,,1767225600000,online`,
      `boats-003.tar,5,lied,placeFound,,${FOUND},,`,
      `boats-003.tar,6,nobody,placeFound,,${FOUND},,`,
      `,,strange,,,${FOUND},,`,
    ].join('\n'),
  )
  const answered = JSON.parse((await amend(1)).stdout())
  assert.deepEqual(answered, {
    rows: 7,
    amended: 5,
    unchanged: 0,
    bad: 2,
    badList: [
      { file: `${manifest}, row 5 (line 7)`, field: '', expected: 'expected an item that the gate has judged' },
      {
        file: `${manifest}, row 6 (line 8)`,
        field: '',
        expected: 'expected an item without SUBJECT_MISMATCH, which is about its message; publish it anew',
      },
    ],
  })
  await waitFor('the gate has judged them again', () => bench.caughtUp())

  for (const [id, payload] of [
    ['inline', inline],
    ['referred', referred],
  ] as const) {
    await t.test(`the amended message is cleared and both are told, its payload ${id}`, async () => {
      const [first, second, ...others] = await passagesOf(bench, id)
      assert.ok(first && second)
      assert.deepEqual(others, [])
      assert.deepEqual([first.verdict.outcome, second.verdict.outcome], ['quarantine', 'clean'])
      assert.deepEqual(second.clean?.reference, sha256(payload))
      assert.deepEqual(second.bytes, { store: 'clean', payload: sha256(payload), original: null })
      assert.deepEqual(first.envelope.amendments, [])
      const { cluster, topic, partition, offset } = first.verdict.input
      const [{ addedAt, ...amendment } = { addedAt: 0 }, ...more] = second.envelope.amendments
      assert.deepEqual(
        [amendment, more],
        [
          {
            fields: [
              'acquisition.requestedUrl',
              ...(id === 'inline' ? ['liveness.lastSeenAt', 'liveness.status'] : []),
            ],
            source: 'their letter',
            addedBy: 'A. Example',
            original: `${cluster}/${topic}/${partition}/${offset}`,
          },
          [],
        ],
      )
      assert.ok(addedAt > Date.now() - 600_000 && addedAt <= Date.now())
      assert.equal(second.envelope.payload.reference, sha256(payload))
      assert.equal(second.completeness.actionable, true)
    })
  }

  await t.test(
    'a known picture stays held however much is told of it, and so does a payload that was not as claimed',
    async () => {
      const outcomes = async (id: string) =>
        (await passagesOf(bench, id)).map(({ verdict }) => [verdict.outcome, verdict.reasons])
      assert.deepEqual(await outcomes('known'), [
        ['quarantine', ['KNOWN_EXACT', 'PROVENANCE_INCOMPLETE']],
        ['quarantine', ['KNOWN_EXACT']],
      ])
      assert.deepEqual(await outcomes('lied'), [
        ['quarantine', ['DIGEST_MISMATCH', 'PROVENANCE_INCOMPLETE']],
        ['quarantine', ['DIGEST_MISMATCH']],
      ])
    },
  )

  await t.test('an item that was cleared is amended too, from the bytes in the clean store', async () => {
    const passages = await passagesOf(bench, 'complete')
    assert.deepEqual(
      passages.map(({ verdict, envelope }) => [verdict.outcome, envelope.amendments.length]),
      [
        ['clean', 0],
        ['clean', 1],
      ],
    )
  })

  await t.test('what was answered is no gap any more, and the report counts each item once, as it stands', async () => {
    assert.deepEqual(
      (await gaps(bench)).map(({ itemId, required }) => [itemId, required]),
      ['inline', 'referred', 'known', 'complete', 'lied'].map((id) => [id, []]),
    )
    const found = report.parse(JSON.parse((await bench.sluice(['provenance', 'report', '--json'])).stdout()))
    assert.equal(found.items, 6)
    assert.deepEqual(Object.keys(found.by), ['supplier', 'dataset', 'source-domain'])
    const [ofSupplier] = found.by.supplier ?? []
    assert.ok(ofSupplier)
    const { name, items, actionable, held, facts } = ofSupplier
    assert.deepEqual([name, items, actionable, held], [SUPPLIER, 5, 5, 0])
    assert.deepEqual([facts.placeFound, facts.lastSeen, facts.uploader, facts.supplier], [5, 2, 0, 5])
    assert.deepEqual(
      found.by['source-domain']?.map((each) => [each.name, each.items]),
      [
        ['pictures.example.org', 5],
        [null, 1],
      ],
    )
  })

  await t.test(
    'an answer that is given again changes nothing, and one that contradicts what is told is refused',
    async () => {
      const before = await bench.endOf('crawl.items')
      const again = JSON.parse((await amend(1)).stdout())
      assert.deepEqual([again.amended, again.unchanged, again.bad], [0, 5, 2])
      const other = join(bench.folder, 'other.jsonl')
      const [place] = (await passagesOf(bench, 'inline')).map(({ verdict }) => verdict.input)
      assert.ok(place)
      const rows = [
        { itemId: 'referred', 'acquisition.requestedUrl': 'https://elsewhere.example.org/' },
        { coordinates: `${place.topic}/${place.partition}/${place.offset}`, 'liveness.status': 'gone' },
        { itemId: 'known', 'acquisition.status': 'two hundred' },
        { itemId: 'lied', 'verdict.outcome': 'clean' },
      ]
      await writeFile(other, rows.map((row) => JSON.stringify(row)).join('\n'))
      const { bad, badList, amended } = JSON.parse((await amend(1, other)).stdout())
      assert.deepEqual([bad, amended], [4, 0])
      assert.deepEqual(badList.map(({ field }: { field: string }) => field).sort(), [
        'acquisition.requestedUrl',
        'acquisition.status',
        'liveness.status',
        'verdict.outcome',
      ])
      assert.doesNotMatch(JSON.stringify(badList), /elsewhere|two hundred/)
      assert.equal(await bench.endOf('crawl.items'), before)
    },
  )

  await t.test(
    'an item is found by id, sha256 and coordinates alike; what there is not is said, and wrong words are',
    async () => {
      const { stdout } = await bench.sluice(['trace', 'referred', '--json'])
      const { passages: byId, ...rest } = trace.parse(JSON.parse(stdout()))
      assert.deepEqual(rest, { wanted: 'referred', masked: true, leftOut: 0, denied: [] })
      assert.deepEqual(await passagesOf(bench, sha256(referred)), byId)
      const [first] = byId
      assert.ok(first)
      const { cluster, topic, partition, offset } = first.verdict.input
      for (const place of [`${topic}/${partition}/${offset}`, `${cluster}/${topic}/${partition}/${offset}`]) {
        assert.deepEqual(await passagesOf(bench, place), [first])
      }
      const none = await bench.sluice(['trace', 'no-such-item'], 1)
      assert.match(none.stderr(), /nothing of that name/)
      assert.equal(none.stdout(), '')
      await bench.sluice(['trace', 'not an id'], 2)
      await assert.rejects(passagesOf(bench, 'other.topic/0/1'), /coordinates of the door topic/)
    },
  )

  await t.test(
    'a payload that lay under another name stays held, though the claim about its bytes was right',
    async () => {
      const [named, bytes] = await Promise.all([6, 7].map(tinyPicture))
      assert.ok(named && bytes)
      const shard = join(bench.storeFolder('intake'), sha256(named).slice(0, 2))
      await mkdir(shard, { recursive: true })
      await writeFile(join(shard, sha256(named)), bytes)
      await publish([supplied(crawlItem('misnamed', { reference: sha256(named) }, { sha256: sha256(bytes) }), 7)])
      const file = join(bench.folder, 'misnamed.jsonl')
      await writeFile(file, JSON.stringify({ itemId: 'misnamed', 'acquisition.requestedUrl': FOUND }))
      await amend(0, file)
      await waitFor('the gate has judged it again', () => bench.caughtUp())
      assert.deepEqual(
        (await passagesOf(bench, 'misnamed')).map(({ verdict }) => verdict.reasons),
        [['DIGEST_MISMATCH', 'PROVENANCE_INCOMPLETE'], ['DIGEST_MISMATCH']],
      )
    },
  )

  await t.test('what is told of a message is not told of other bytes that came under the same id since', async () => {
    const [mine, theirs] = await Promise.all([8, 9].map(tinyPicture))
    assert.ok(mine && theirs)
    await publish([supplied(crawlItem('reused', { inline: mine }), 8)])
    await publish([supplied(crawlItem('reused', { inline: theirs }), 8)])
    const places = (await passagesOf(bench, 'reused')).map(
      ({ verdict: { input } }) => `${input.topic}/${input.partition}/${input.offset}`,
    )
    const file = join(bench.folder, 'reused.jsonl')
    const answer = (item: { itemId: string } | { coordinates: string | undefined }) =>
      writeFile(file, JSON.stringify({ ...item, 'acquisition.requestedUrl': FOUND }))
    await answer({ itemId: 'reused' })
    assert.match((await amend(1, file)).stdout(), /the same bytes came each time/)
    await answer({ coordinates: places[0] })
    assert.match((await amend(1, file)).stdout(), /other bytes since/)
    await answer({ coordinates: places[1] })
    assert.equal(JSON.parse((await amend(0, file)).stdout()).amended, 1)
    await waitFor('the gate has judged it again', () => bench.caughtUp())
  })

  await t.test('URLs are told to those who ask for them, and to nobody else', async () => {
    const masked = (await bench.sluice(['trace', 'inline'])).stdout()
    assert.doesNotMatch(masked, /pictures\.example\.org/)
    assert.match(masked, /requested +https:\/\/…\(masked, 41 characters\)/)
    assert.match(masked, /reason +PROVENANCE_INCOMPLETE: facts about where/)
    assert.match((await bench.sluice(['trace', 'inline', '--reveal'])).stdout(), new RegExp(`requested +${FOUND}`))
  })
  await bench.stopGate(gate)
})
