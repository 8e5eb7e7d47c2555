import assert from 'node:assert/strict'
import { test } from 'node:test'
import sharp, { type Sharp } from 'sharp'
import { readStore, skipWithoutPython } from '../foreign/foreign.ts'
import { audit, type Fate } from './audit.ts'
import { openBench } from './harness.ts'
import { crawlItem, type Photograph, pdq, pdqAtDistance, photograph, sha256 } from './items.ts'

type Expected = { outcome: Fate['outcome']; reasons: string[]; payload: Buffer; byReference: boolean }

/** What somebody may do to a picture and still show the same: name to what sharp is told. */
const derivations: Readonly<Record<string, (picture: Sharp) => Sharp>> = {
  'quality-40': (picture) => picture.jpeg({ quality: 40 }),
  png: (picture) => picture.png({ compressionLevel: 3 }),
  webp: (picture) => picture.webp({ quality: 80 }),
  half: (picture) => picture.resize({ width: 512 }).jpeg(),
  turned: (picture) => picture.rotate(90).jpeg(),
  mirrored: (picture) => picture.flop().jpeg(),
  bordered: (picture) => picture.extend({ top: 80, bottom: 80, left: 80, right: 80, background: 'white' }).jpeg(),
}

async function derivativesOf(name: Photograph): Promise<Array<{ id: string; payload: Buffer }>> {
  const original = photograph(name)
  const made = Object.entries(derivations).map(async ([derivation, make]) => {
    return { id: `${name}.${derivation}`, payload: await make(sharp(original)).toBuffer() }
  })
  return [{ id: `${name}.identical`, payload: original }, ...(await Promise.all(made))]
}

test('each item is on the one topic where it belongs, with its reasons and to the byte', {
  skip: skipWithoutPython(),
}, async (t) => {
  const bench = await openBench(t, {
    lists: {
      'stand-in': { mode: 'enforce', maxAgeHours: 168, leastMatchable: 0 },
      trial: { mode: 'shadow', maxAgeHours: 168, leastMatchable: 0 },
    },
  })
  const [listed, shadowed, similar, unlisted] = [
    'nagasaki-boats',
    'airplane-from-above',
    'french-alpine-landscape',
    'locomotion-house-cat',
  ] as const

  await bench.importList('stand-in', [
    { id: 'boats', sha256: sha256(photograph(listed)), pdq: (await pdq(photograph(listed))).hex, quality: '100' },
    // Further off than the near tier reaches, within the wide one.
    { id: 'alps', pdq: pdqAtDistance((await pdq(photograph(similar))).hex, 40), quality: '100' },
  ])
  await bench.importList('trial', [{ id: 'airplane', pdq: (await pdq(photograph(shadowed))).hex, quality: '100' }])

  const expected = new Map<string, Expected>()
  const expectAll = async (name: Photograph, outcome: Fate['outcome'], reasons: string[]): Promise<void> => {
    for (const [index, { id, payload }] of (await derivativesOf(name)).entries()) {
      expected.set(id, { outcome, reasons, payload, byReference: index % 2 === 1 })
    }
  }
  await expectAll(listed, 'quarantine', ['KNOWN_NEAR'])
  await expectAll(shadowed, 'clean', ['KNOWN_SHADOW'])
  await expectAll(unlisted, 'clean', [])
  expected.set('boats.again', {
    outcome: 'quarantine',
    reasons: ['KNOWN_EXACT', 'KNOWN_NEAR'],
    payload: photograph(listed),
    byReference: true,
  })
  const identical = expected.get(`${listed}.identical`)
  assert.ok(identical)
  identical.reasons = ['KNOWN_EXACT', 'KNOWN_NEAR']
  expected.set('alps.as-it-stands', {
    outcome: 'review',
    reasons: ['KNOWN_WIDE'],
    payload: photograph(similar),
    byReference: false,
  })
  expected.set('alps.turned', {
    outcome: 'clean',
    reasons: [],
    payload: await sharp(photograph(similar)).rotate(90).png({ compressionLevel: 3 }).toBuffer(),
    byReference: false,
  })

  const intake = bench.store('intake')
  for (const { payload, byReference } of expected.values()) {
    if (byReference) await intake.write(sha256(payload), payload)
  }
  const messages = [...expected].map(async ([id, { payload, byReference }], index) => {
    const item = crawlItem(id, byReference ? { reference: sha256(payload) } : { inline: payload }, {
      size: payload.length,
      sha256: sha256(payload),
    })
    return {
      key: id,
      partition: index % bench.partitions,
      value: await bench.registry.encode('crawl.items', item),
      headers: { ce_id: id },
    }
  })
  await bench.produce('crawl.items', await Promise.all(messages))

  const gate = bench.startGate({ words: ['--until-caught-up'] })
  assert.equal((await gate.ended).code, 0)

  const fates = await audit(bench)
  assert.equal(fates.length, expected.size)
  const cleanObjects = new Map((await readStore(bench.storeFolder('clean'))).map((object) => [object.name, object]))
  const heldObjects = new Map((await readStore(bench.storeFolder('held'))).map((object) => [object.name, object]))
  for (const fate of fates) {
    const id = fate.verdict.itemId ?? ''
    const wanted = expected.get(id)
    assert.ok(wanted, `nobody sent ${id}`)
    const digest = sha256(wanted.payload)
    assert.deepEqual([id, fate.outcome, fate.reasons], [id, wanted.outcome, wanted.reasons])
    assert.equal(fate.door.key, Buffer.from(id).toString('base64'))
    assert.equal(fate.verdict.sha256, digest)
    assert.equal(fate.verdict.size, wanted.payload.length)
    if (fate.clean !== null) {
      assert.deepEqual([fate.clean.id, fate.clean.payload.reference], [id, digest])
      assert.equal(cleanObjects.get(digest)?.sha256, digest, `${id}: the bytes in the clean store`)
    }
    if (fate.held !== null) {
      const original = heldObjects.get(fate.held.heldReference)
      assert.equal(original?.sha256, fate.held.heldReference)
      assert.equal(original?.record?.value?.sha256, fate.door.valueSha256)
      assert.deepEqual(
        original?.record?.headers,
        fate.door.headers.map(([name, value]) => ({ name, value })),
      )
      assert.equal(fate.held.payloadReference, digest)
      assert.equal(heldObjects.get(digest)?.sha256, digest, `${id}: the bytes in the held store`)
      assert.equal(cleanObjects.has(digest), false, `${id} is held, and its bytes are not in the clean store`)
    }
  }
})
