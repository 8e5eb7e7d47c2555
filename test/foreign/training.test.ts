import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import sharp from 'sharp'
import { coordinatesText } from '../../services/domain/coordinates.ts'
import { origin } from '../../services/domain/envelope.ts'
import type { CleanItem, CrawlItem } from '../../services/domain/records.ts'
import { openBench } from '../integration/harness.ts'
import { crawlItem, photograph, sha256, tinyPicture } from '../integration/items.ts'
import { readTopics, run, runPython, skipWithoutPython } from './foreign.ts'

const training = join(import.meta.dirname, '../../infra/training')
const CAPTION = 'Boote im Hafen \u2014 "B\u00f6otle"\n\u001f \u{1f6a4}'

test('what a gate has cleared is exported for others: WebDataset reads it, cryptography proves it, pyarrow and mlcroissant know of all of it', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, { partitions: 2 })
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])
  const pictures: Record<string, Buffer> = {
    'large.JPG': photograph('nagasaki-boats'),
    'webp.1': await sharp(await tinyPicture(90))
      .webp()
      .toBuffer(),
    'gif.1': await sharp(await tinyPicture(91))
      .gif()
      .toBuffer(),
  }
  for (let n = 0; n < 9; n++) pictures[`tiny.${n}`] = await tinyPicture(n)
  const messages = Object.entries(pictures).map(async ([id, inline], index) => {
    const plain = crawlItem(id, { inline })
    const item: CrawlItem = { ...plain, envelope: { ...plain.envelope, origin: origin({ caption: CAPTION }) } }
    return { key: id, partition: index % 2, value: await bench.registry.encode('crawl.items', item) }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  await bench.sluice(['gate', '--until-caught-up'])

  const folder = join(bench.folder, 'dataset')
  const attestation = join(bench.folder, 'attestation.json')
  const { keyring, signingKey } = bench.settings
  await bench.sluice([
    'train',
    'export',
    folder,
    '--shard-items',
    '5',
    '--name',
    'boats',
    '--url',
    'https://example.org/boats',
  ])
  const attesting = ['--attest', attestation, '--signing-key', signingKey]
  await bench.sluice(['train', 'verify', folder, '--keyring', keyring, ...attesting])

  const { records } = await readTopics(bench.settings, [bench.topic('gate.clean')])
  const cleared = records.map(({ value }) => value as CleanItem)
  assert.deepEqual(cleared.map(({ id }) => id).toSorted(), Object.keys(pictures).toSorted())
  const keys = new Map(cleared.map(({ id, input }) => [id, sha256(Buffer.from(coordinatesText(input))).slice(0, 32)]))

  const { stdout: seen } = await runPython([join(training, 'pictures.py'), folder])
  const sizes: number[][] = []
  for (const line of seen) {
    const { key, id, caption, width, height } = JSON.parse(line)
    const { width: w, height: h } = await sharp(pictures[id]).metadata()
    assert.deepEqual([key, caption, width, height], [keys.get(id), CAPTION, w, h])
    sizes.push([width, height])
  }
  assert.equal(seen.length, cleared.length)

  const checking = [join(training, 'check_receipts.py'), folder, '--keyring', keyring]
  const checked = (await runPython(checking)).stdout.map((line) => JSON.parse(line))
  assert.deepEqual(checked, [{ holding: cleared.length, problems: 0 }])

  const lines = (await run('read-dataset.py', [folder, keyring, attestation])).map((line) => JSON.parse(line))
  const { errors, items, pictures: read, sizes: measured, statement } = lines.pop()
  assert.deepEqual(errors, [])
  assert.deepEqual(items, cleared.map(({ payload }) => payload.reference).toSorted())
  assert.deepEqual(read, [...keys.values()].toSorted())
  assert.deepEqual(measured.toSorted(), sizes.toSorted())
  const rows = new Map(lines.map(({ row }) => [row.id, row]))
  assert.equal(rows.size, cleared.length)
  for (const { id, input, payload, training: view } of cleared) {
    const { shard, policyHash, engineVersion, listVersions, keyId, signedAt, ...row } = rows.get(id)
    const told = { key: keys.get(id), id, sha256: payload.reference, size: payload.size, mediaType: payload.mediaType }
    assert.deepEqual(row, { ...told, ...input, ...view })
    assert.match(`${shard} ${policyHash} ${keyId}`, /^shards\/00000\d\.tar [0-9a-f]{64} [0-9a-f]{16}$/)
    assert.equal(JSON.parse(listVersions)[0].list, 'stand-in')
    assert.ok(engineVersion.length > 0 && signedAt <= Date.now())
  }
  const subjects = new Map<string, string>(
    statement.subject.map(({ name, digest }: { name: string; digest: { sha256: string } }) => [name, digest.sha256]),
  )
  for (const name of ['shards', 'manifest']) {
    for (const file of await readdir(join(folder, name))) {
      assert.equal(subjects.get(join(name, file)), sha256(await readFile(join(folder, name, file))))
    }
  }

  // The others see it too when something is not what was signed.
  const shard = join(folder, 'shards', '000000.tar')
  const tar = await readFile(shard)
  const at = tar.indexOf('"caption":"Boote') + 12
  tar[at] = (tar[at] ?? 0) ^ 1
  await writeFile(shard, tar)
  await assert.rejects(runPython(checking), /ended with 1: .*its training view is not what was signed/)
})
