import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import sharp, { type Sharp } from 'sharp'
import { isTransform } from '../../services/domain/fingerprint.ts'
import { orientations, pdqHashes } from '../../services/domain/pdq.ts'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import { photograph, photographs } from '../integration/items.ts'
import {
  animatedPng,
  animation,
  clouds,
  distance,
  generous,
  hashOf,
  nearest,
  pngHeader,
  variantsOf,
} from './inspect-made.ts'

const inspect = (payload: Uint8Array, limits = {}) => inspectPayload(payload, { ...generous, ...limits })

async function pixelHash(picture: Sharp): Promise<Uint8Array> {
  const { data, info } = await picture.raw().toBuffer({ resolveWithObject: true })
  return pdqHashes(data, info.width, info.height).hashes.identity
}

test('a photograph is hashed in 8 orientations, derived and as really turned, as it stands first', async () => {
  const { mediaType, fingerprint, faults } = await inspect(photograph('airplane-from-above'))
  assert.equal(mediaType, 'image/jpeg')
  assert.deepEqual(faults, [])
  const derived = fingerprint.filter(({ transform }) => !transform.startsWith('turned+'))
  assert.deepEqual(
    derived.map(({ transform }) => transform),
    orientations,
  )
  assert.deepEqual(fingerprint[0]?.value, Buffer.from(await pixelHash(sharp(photograph('airplane-from-above')))))
  for (const { signal, quality, frame, transform, value } of fingerprint) {
    assert.deepEqual([signal, quality, frame, isTransform(transform), value.length], ['pdq', 100, 0, true, 32])
  }
})

test('each type that is supported is sniffed and hashed alike', async () => {
  const png = await inspect(await clouds(1).png().toBuffer())
  for (const format of ['jpeg', 'webp', 'gif', 'tiff', 'avif'] as const) {
    const { mediaType, fingerprint, faults } = await inspect(await clouds(1).toFormat(format).toBuffer())
    assert.equal(mediaType, `image/${format}`)
    assert.deepEqual(faults, [])
    assert.ok(distance(fingerprint[0]?.value ?? Buffer.alloc(32), hashOf(png)) <= 31, format)
  }
})

test('grey, 16-bit, palette and CMYK pictures are hashed as a viewer shows them', async () => {
  const source = () => sharp(photograph('nagasaki-boats')).resize(400)
  const hash = await pixelHash(source())
  const stored: Record<string, Sharp> = {
    grey: source().greyscale().png(),
    'grey with alpha': source().greyscale().ensureAlpha(1).png(),
    'grey of 16 bits': source().toColourspace('grey16').png(),
    '16 bits': source().toColourspace('rgb16').png(),
    palette: source().png({ palette: true }),
    CMYK: source().toColourspace('cmyk').jpeg(),
  }
  for (const [name, picture] of Object.entries(stored)) {
    const inspection = await inspect(await picture.toBuffer())
    assert.deepEqual(inspection.faults, [], name)
    assert.equal(inspection.fingerprint[0]?.transform, 'identity', name)
    assert.ok(distance(hashOf(inspection), hash) <= 16, `${name}: ${distance(hashOf(inspection), hash)}`)
  }
})

test('a photograph is found again after re-encoding, resizing, turning and bordering', async () => {
  for (const name of photographs) {
    const bytes = photograph(name)
    const { width, height } = await sharp(bytes).metadata()
    const known = hashOf(await inspect(bytes))
    // Its own sides are of one colour, and go with the bars above and below.
    const flatEdges = name === 'allium-oreophilum'
    const bordered = (share: number, background: string) =>
      sharp(bytes).extend({
        top: Math.round(height * share),
        bottom: Math.round(height * share),
        left: Math.round(width * share),
        right: Math.round(width * share),
        background,
      })
    const derivatives: [name: string, Sharp, most: number][] = [
      ['quality 40', sharp(bytes).jpeg({ quality: 40 }), 10],
      [
        'half the size',
        sharp(bytes)
          .resize(Math.round(width / 2))
          .jpeg(),
        24,
      ],
      ['turned', sharp(bytes).rotate(90).jpeg(), 26],
      ['mirrored', sharp(bytes).flop().jpeg(), 26],
      ['white border of 5 %', bordered(0.05, 'white').jpeg({ quality: 80 }), 16],
      ['white border of 10 %', bordered(0.1, 'white').jpeg({ quality: 40 }), 16],
      ['white border of 20 %', bordered(0.2, 'white').jpeg({ quality: 80 }), 16],
      ['red border', bordered(0.1, '#a33').jpeg({ quality: 60 }), 31],
      ['letterbox', sharp(bytes).extend({ top: 120, bottom: 120, background: 'black' }).jpeg(), flatEdges ? 40 : 24],
      ['bars at the sides', sharp(bytes).extend({ left: 99, right: 99, background: 'black' }).jpeg(), 24],
    ]
    for (const [what, picture, most] of derivatives) {
      const found = nearest(await inspect(await picture.toBuffer()), known)
      assert.ok(found.distance <= most, `${name}, ${what}: ${found.distance} bits (${found.transform})`)
    }
  }
})

test('every photograph that was really turned is found within a few bits, and the turn is named', async () => {
  for (const name of photographs) {
    const bytes = photograph(name)
    const inspection = await inspect(bytes)
    const really = {
      rotate90: sharp(bytes).rotate(90),
      rotate180: sharp(bytes).rotate(180),
      rotate270: sharp(bytes).rotate(270),
      mirror: sharp(bytes).flop(),
      flip: sharp(bytes).flip(),
    }
    for (const [transform, picture] of Object.entries(really)) {
      const found = nearest(inspection, await pixelHash(picture))
      assert.ok(found.distance <= 6, `${name} ${transform}: ${found.distance} bits`)
      assert.equal(found.transform.replace('turned+', ''), transform)
    }
  }
})

test('a border within a border is trimmed twice', async () => {
  const bytes = photograph('nagasaki-boats')
  const letterbox = await sharp(bytes).extend({ top: 120, bottom: 120, background: 'black' }).png().toBuffer()
  const framed = sharp(letterbox).extend({ top: 60, bottom: 60, left: 60, right: 60, background: 'white' })
  const found = nearest(await inspect(await framed.jpeg().toBuffer()), hashOf(await inspect(bytes)))
  assert.ok(found.distance <= 16)
  assert.equal(found.transform, 'trimmed-twice+identity')
})

test('a picture of one colour has no trimmed variant', async () => {
  const flat = sharp({ create: { width: 200, height: 200, channels: 3, background: 'white' } })
  assert.deepEqual(variantsOf(await inspect(await flat.png().toBuffer())), ['identity'])
})

test('a transparent picture is hashed on white, on black, and with the colours that transparency hides', async () => {
  const hidden = await clouds(3).raw().toBuffer()
  const shown = await clouds(4).raw().toBuffer()
  const rgba = Buffer.alloc(240 * 160 * 4)
  for (let i = 0; i < 240 * 160; i++) {
    hidden.copy(rgba, i * 4, i * 3, i * 3 + 3)
    rgba[i * 4 + 3] = shown[i * 3] ?? 0
  }
  const picture = () => sharp(rgba, { raw: { width: 240, height: 160, channels: 4 } })
  const inspection = await inspect(await picture().png().toBuffer())
  assert.deepEqual(inspection.faults, [])
  assert.deepEqual(variantsOf(inspection), ['identity', 'on-black+identity', 'without-alpha+identity'])
  assert.deepEqual(hashOf(inspection, 'without-alpha+identity'), Buffer.from(await pixelHash(clouds(3))))
  for (const [transform, background] of [
    ['identity', 'white'],
    ['on-black+identity', 'black'],
  ] as const) {
    const flattened = await pixelHash(picture().flatten({ background }))
    assert.ok(distance(hashOf(inspection, transform), flattened) <= 8, transform)
  }
})

test('an alpha channel that is opaque adds nothing', async () => {
  const inspection = await inspect(await clouds(3).ensureAlpha(1).png().toBuffer())
  assert.deepEqual(variantsOf(inspection), ['identity'])
})

test('a picture that EXIF turns is hashed as viewers show it, and unturned', async () => {
  for (let orientation = 1; orientation <= 8; orientation++) {
    const bytes = await clouds(5).withMetadata({ orientation }).png().toBuffer()
    const inspection = await inspect(bytes)
    assert.deepEqual(inspection.faults, [])
    assert.deepEqual(hashOf(inspection), Buffer.from(await pixelHash(sharp(bytes).autoOrient())), `${orientation}`)
    if (orientation === 1) assert.deepEqual(variantsOf(inspection), ['identity'])
    else assert.deepEqual(hashOf(inspection, 'unturned+identity'), Buffer.from(await pixelHash(clouds(5))))
  }
})

test('every frame of an animation is hashed', async () => {
  for (const format of ['gif', 'webp'] as const) {
    const inspection = await inspect(await animation(format, [1, 2, 3]))
    assert.deepEqual(inspection.faults, [], format)
    for (const [frame, seed] of [1, 2, 3].entries()) {
      const apart = distance(hashOf(inspection, 'identity', frame), await pixelHash(clouds(seed)))
      assert.ok(apart <= 31, `${format} frame ${frame}: ${apart}`)
    }
    assert.deepEqual([...new Set(inspection.fingerprint.map(({ frame }) => frame))], [0, 1, 2])
  }
})

test('of an animation over the limit the first frames are hashed, and it is held', async () => {
  const inspection = await inspect(await animation('gif', [1, 2, 3, 4]), { frames: 2 })
  assert.deepEqual(inspection.faults, ['FRAMES_OVER_LIMIT'])
  assert.deepEqual([...new Set(inspection.fingerprint.map(({ frame }) => frame))], [0, 1])
})

test('every frame of an APNG is hashed as it lies upon the ones before', async () => {
  const frames = [await clouds(1).png().toBuffer(), await clouds(2).png().toBuffer()]
  const inspection = await inspect(animatedPng(frames))
  assert.equal(inspection.mediaType, 'image/apng')
  assert.deepEqual(inspection.faults, [])
  for (const [frame, seed] of [1, 2].entries()) {
    assert.deepEqual(hashOf(inspection, 'identity', frame), Buffer.from(await pixelHash(clouds(seed))))
  }
})

test('a truncated JPEG is hashed but never cleared, wherever it is cut', async () => {
  const bytes = photograph('airplane-from-above')
  const known = hashOf(await inspect(bytes))
  for (const share of [0.2, 0.5, 0.9, 0.99]) {
    const inspection = await inspect(bytes.subarray(0, bytes.length * share))
    assert.deepEqual(inspection.faults, ['MEDIA_INCOMPLETE'])
    assert.equal(inspection.fingerprint[0]?.transform, 'identity')
    if (share > 0.95) assert.ok(nearest(inspection, known).distance <= 31)
  }
  assert.deepEqual((await inspect(bytes.subarray(0, bytes.length - 2))).faults, ['MEDIA_INCOMPLETE'])
  assert.deepEqual(await inspect(bytes.subarray(0, 100)), {
    mediaType: 'image/jpeg',
    fingerprint: [],
    faults: ['MEDIA_UNDECODABLE'],
  })
})

test('truncated pictures of the other types are never cleared', async () => {
  const whole = {
    png: await clouds(1).png().toBuffer(),
    webp: await clouds(1).webp().toBuffer(),
    gif: await clouds(1).gif().toBuffer(),
    'animated gif': await animation('gif', [1, 2, 3]),
    'animated webp': await animation('webp', [1, 2, 3]),
  }
  for (const [name, bytes] of Object.entries(whole)) {
    for (let cut = 1; cut <= 12; cut++) {
      const length = cut === 12 ? bytes.length - 1 : Math.floor((bytes.length * cut) / 12.5)
      assert.notDeepEqual((await inspect(bytes.subarray(0, length))).faults, [], `${name} cut at ${length}`)
    }
  }
})

test('flipped bits in a PNG are noticed', async () => {
  const bytes = await clouds(1).png().toBuffer()
  for (const share of [0.3, 0.6, 0.9]) {
    const damaged = Buffer.from(bytes)
    const at = Math.floor(bytes.length * share)
    damaged[at] = (damaged[at] ?? 0) ^ 0x10
    const { faults } = await inspect(damaged)
    assert.ok(faults.includes('MEDIA_INCOMPLETE') || faults.includes('MEDIA_UNDECODABLE'), `at ${at}`)
  }
})

test('a header that claims too many pixels is refused before anything is decoded', async () => {
  const before = process.memoryUsage().rss
  const bomb = await inspect(pngHeader(60_000, 60_000))
  assert.deepEqual(bomb, { mediaType: 'image/png', fingerprint: [], faults: ['DIMENSIONS_OVER_LIMIT'] })
  assert.ok(process.memoryUsage().rss - before < 500_000_000)
  assert.deepEqual((await inspect(await clouds(1).png().toBuffer(), { pixels: 240 * 160 })).faults, [])
})

test('what is no supported picture is held as unsupported', async () => {
  const nothing = { mediaType: null, fingerprint: [], faults: ['MEDIA_UNSUPPORTED'] }
  assert.deepEqual(await inspect(Buffer.from('a text that somebody called picture.jpg')), nothing)
  assert.deepEqual(await inspect(Buffer.concat([Buffer.alloc(16), randomBytes(5000)])), nothing)
  const heic = await inspect(Buffer.from('\0\0\0\x18ftypheic\0\0\0\0heicmif1', 'latin1'))
  assert.deepEqual(heic, { mediaType: 'image/heic', fingerprint: [], faults: ['MEDIA_UNSUPPORTED'] })
  assert.deepEqual((await inspect(Buffer.alloc(0))).faults, ['PAYLOAD_EMPTY'])
})

test('random bytes behind the first bytes of a type are never cleared', async () => {
  for (const start of ['ffd8ffe0', '89504e470d0a1a0a', '474946383961', '524946460000010057454250']) {
    const { faults } = await inspect(Buffer.concat([Buffer.from(start, 'hex'), randomBytes(3000)]))
    assert.equal(faults.length, 1, start)
  }
})
