import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import fc from 'fast-check'
import sharp, { type JpegOptions, type Sharp } from 'sharp'
import { endOfScan } from '../../services/gate/inspect/containers/jpeg.ts'
import { preparePictures } from '../../services/gate/inspect/decode.ts'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import { giveMemoryBack } from '../../services/gate/inspect/picture-memory.ts'
import { openTurboJpeg, type TurboJpeg } from '../../services/gate/inspect/turbo-jpeg.ts'
import { photograph, photographs } from '../integration/items.ts'
import { generous } from './inspect-made.ts'

const turbo = await openTurboJpeg()
const missing = 'there is no libturbojpeg on this system: install it (Debian: libturbojpeg0) and run `make test`'
if (turbo === null && process.env.CI) throw new Error(missing)

/** What sharp makes of it where nothing may be wrong with it; null where something is. */
const strictly = (jpeg: Buffer): Promise<Buffer | null> =>
  sharp(jpeg, { failOn: 'warning' })
    .raw()
    .toBuffer()
    .catch(() => null)

/** A picture with edges and noise, of any size. */
function drawn(seed: number, width: number, height: number): Sharp {
  const levels = Uint8Array.from({ length: width * height * 3 }, (_, at) => {
    const block = (Math.floor(at / 3 / width / 7) * 31 + Math.floor(((at / 3) % width) / 5) * 17) * (seed | 1)
    return block + (Math.imul(at + seed, 0x9e3779b1) >>> 28)
  })
  return sharp(levels, { raw: { width, height, channels: 3 } })
}

const side = fc.integer({ min: 1, max: 130 })
const jpegs = fc.record({
  seed: fc.nat(1000),
  width: side,
  height: side,
  quality: fc.integer({ min: 1, max: 100 }),
  chromaSubsampling: fc.constantFrom('4:2:0', '4:4:4'),
  progressive: fc.boolean(),
  optimiseCoding: fc.boolean(),
})

/** Where each scan of a JPEG begins and ends, the tables before it not included. */
function scansOf(jpeg: Buffer): { begin: number; end: number }[] {
  const scans: { begin: number; end: number }[] = []
  for (let at = 2; at < jpeg.length && jpeg[at + 1] !== 0xd9; ) {
    const next = at + 2 + jpeg.readUInt16BE(at + 2)
    const end = jpeg[at + 1] === 0xda ? endOfScan(jpeg, next) : next
    if (end > next) scans.push({ begin: at, end })
    at = end
  }
  return scans
}

/** The segment that says a picture's size and components. */
function frameOf(jpeg: Buffer): Buffer {
  const at = jpeg.indexOf(Buffer.from([0xff, 0xc2]))
  return jpeg.subarray(at, at + 2 + jpeg.readUInt16BE(at + 2))
}

suite('libjpeg-turbo beside sharp', { skip: turbo === null && missing }, () => {
  let decode: (payload: Buffer) => ReturnType<TurboJpeg['decode']>
  let size: TurboJpeg['size']
  before(() => {
    assert.ok(turbo)
    const { decode: decodeUpTo } = turbo
    decode = (payload) => {
      const raw = decodeUpTo(payload, generous.pixels)
      if (raw === null) return null
      // Copied, so that the next one lies there again.
      const data = Uint8Array.from(raw.data)
      giveMemoryBack(raw.data)
      return { ...raw, data }
    }
    size = turbo.size
  })

  test('what is ordinary has the same size and the same pixels', async () => {
    const one = async ({
      seed,
      width,
      height,
      ...options
    }: JpegOptions & { seed: number; width: number; height: number }) => {
      const jpeg = await drawn(seed, width, height).jpeg(options).toBuffer()
      assert.deepEqual(size(jpeg), { width, height })
      const raw = decode(jpeg)
      assert.deepEqual([raw?.width, raw?.height, raw?.channels], [width, height, 3])
      assert.ok((await strictly(jpeg))?.equals(raw?.data ?? new Uint8Array()))
    }
    await fc.assert(fc.asyncProperty(jpegs, one), { numRuns: 300 })
    await one({ seed: 1, width: 6000, height: 4000, quality: 80, chromaSubsampling: '4:2:0' })
  })

  for (const progressive of [false, true]) {
    test(`what is damaged is either seen as damaged, or has the same pixels; progressive: ${progressive}`, async () => {
      const jpeg = await drawn(3, 90, 70).jpeg({ quality: 70, progressive }).toBuffer()
      const whole = await sharp(jpeg).raw().toBuffer()
      const damage = fc.oneof(
        fc.nat(jpeg.length - 1).map((length) => jpeg.subarray(0, length)),
        fc.array(fc.tuple(fc.nat(jpeg.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }).map((changes) => {
          const changed = Buffer.from(jpeg)
          for (const [at, value] of changes) changed[at] = value
          return changed
        }),
      )
      let decoded = 0
      await fc.assert(
        fc.asyncProperty(damage, async (bytes) => {
          const raw = decode(bytes)
          // What it has met leaves no traces.
          assert.ok(whole.equals(decode(jpeg)?.data ?? new Uint8Array()))
          if (raw === null) return
          decoded += 1
          assert.ok((await strictly(bytes))?.equals(raw.data), 'sharp sees something else')
        }),
        { numRuns: 2000 },
      )
      assert.ok(decoded > 0, 'no damage left it whole')
    })
  }

  test('a progressive picture that lacks scans, or bits of them, is left to sharp', async () => {
    for (const chromaSubsampling of ['4:2:0', '4:4:4']) {
      const jpeg = await drawn(4, 90, 70).jpeg({ progressive: true, chromaSubsampling }).toBuffer()
      const scans = scansOf(jpeg)
      assert.ok(scans.length > 5)
      assert.ok(decode(jpeg) !== null)
      for (const { begin, end } of scans) {
        const without = Buffer.concat([jpeg.subarray(0, begin), jpeg.subarray(end)])
        assert.equal(decode(without), null)
      }
      // Behind padding, or a marker without a length, the segments' lengths are read from elsewhere: what is missing could be made up there.
      const [{ end = 0 } = {}] = scans
      const all = Buffer.from([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xff, 0xd9])
      for (const odd of [[0xff], [0xff, 0x01], [0xff, 0xd0]]) {
        const longest = [0xff, 0xe4, 0xff, 0xff]
        const hidden = Buffer.concat([Buffer.from([0xff, 0xfe, 0, 2, ...odd, ...longest]), Buffer.alloc(65_533)])
        all.copy(hidden, 6 + hidden.readUInt16BE(6))
        assert.equal(decode(Buffer.concat([jpeg.subarray(0, end), hidden, jpeg.subarray(-2)])), null)
      }
      const twoFrames = Buffer.concat([jpeg.subarray(0, -2), frameOf(jpeg), jpeg.subarray(-2)])
      assert.equal(decode(twoFrames), null)
    }
  })

  test('nothing is decoded that has more pixels than it may', async () => {
    const jpeg = await drawn(2, 40, 30).jpeg().toBuffer()
    assert.equal(turbo?.decode(jpeg, 1199), null)
    assert.equal(turbo?.decode(jpeg, 1200)?.width, 40)
  })

  test('what is out of the ordinary is left to sharp', async () => {
    const picture = () => drawn(5, 64, 48)
    const odd = await picture().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer()
    // The first component's sampling: one that is 4:4:4 in all but name.
    odd[odd.indexOf(Buffer.from([0xff, 0xc0])) + 11] = 0x12
    assert.equal(decode(odd), null)
    const left: Record<string, Sharp> = {
      grey: picture().toColourspace('b-w').jpeg(),
      CMYK: picture().toColourspace('cmyk').jpeg(),
      'no JPEG': picture().png(),
    }
    for (const [what, made] of Object.entries(left)) {
      const bytes = await made.toBuffer()
      assert.equal(decode(bytes), null, what)
      assert.equal(size(bytes), null, what)
    }
    // Of these only sharp tells all that there is to know; their pixels as stored are ordinary.
    const described: Record<string, Sharp> = {
      'with Exif data': picture().withMetadata({ orientation: 6 }).jpeg(),
      'with a profile': picture().withIccProfile('p3').jpeg(),
    }
    for (const [what, made] of Object.entries(described)) {
      const bytes = await made.toBuffer()
      assert.equal(size(bytes), null, what)
      const expected = await sharp(bytes, { ignoreIcc: true }).raw().toBuffer()
      assert.ok(expected.equals(decode(bytes)?.data ?? new Uint8Array()), what)
    }
  })

  test('Exif data and profiles are seen wherever a decoder sees them, up to the first scan', async () => {
    const jpeg = await drawn(7, 64, 48).jpeg().toBuffer()
    const [frame, scan] = [0xc0, 0xda].map((marker) => jpeg.indexOf(Buffer.from([0xff, marker])))
    for (const marker of [0xe1, 0xe2]) {
      for (const at of [2, frame, scan]) {
        const segment = Buffer.from([0xff, marker, 0, 6, 1, 2, 3, 4])
        assert.equal(size(Buffer.concat([jpeg.subarray(0, at), segment, jpeg.subarray(at)])), null)
      }
    }
    // A marker without a length would have us step over what follows it.
    for (const alone of [0x01, 0xd0, 0xd8, 0xff]) {
      const bytes = Buffer.concat([jpeg.subarray(0, 2), Buffer.from([0xff, alone]), jpeg.subarray(2)])
      assert.equal(size(bytes), null)
      assert.equal(decode(bytes), null)
    }
  })

  test('a scanner sees in photographs what sharp alone sees', async () => {
    const files = await Promise.all(
      photographs.flatMap((name) => {
        const picture = sharp(photograph(name)).resize(501)
        return [
          picture.clone().jpeg(),
          picture.clone().jpeg({ progressive: true }),
          picture.clone().withMetadata({ orientation: 8 }).jpeg(),
          picture.clone().withIccProfile('p3').jpeg(),
        ].map((made) => made.toBuffer())
      }),
    )
    const inspectAll = () =>
      Promise.all([...files, ...photographs.map(photograph)].map((file) => inspectPayload(file, generous)))
    const bySharp = await inspectAll()
    await preparePictures()
    assert.deepEqual(await inspectAll(), bySharp)
  })
})
