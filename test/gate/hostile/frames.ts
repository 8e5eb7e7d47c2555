import sharp from 'sharp'
import { animatedPng } from '../inspect-made.ts'
import { found, type HostileFile, held, type Pair } from './file.ts'
import {
  apng,
  avif,
  box,
  frameControl,
  pageOf,
  pngChunk,
  pngData,
  type Tag,
  tiff,
  u32be,
  withChunks,
  withRiffChunk,
} from './parts.ts'

/** Files of several frames or pages, of which a later one, or one that decoders skip, is the known picture. */
export async function laterFrames({ known, innocent, width, height }: Pair): Promise<HostileFile[]> {
  const small = await sharp(known)
    .resize(Math.round(width * 0.6))
    .png()
    .toBuffer()
  const animate = (format: 'gif' | 'webp', ...frames: Buffer[]) =>
    sharp(frames, { join: { animated: true } })
      .toFormat(format)
      .toBuffer()
  const [left, right] = await Promise.all(
    [0, width / 2].map((x) =>
      sharp(known)
        .extract({ left: x, top: 0, width: width / 2, height })
        .png()
        .toBuffer(),
    ),
  )
  const pages = await Promise.all([innocent, known, small].map((picture) => pageOf(picture)))
  const [first, second, third] = pages
  if (!first || !second || !third || !left || !right) throw new Error('there are three pages and two halves')
  const tags: Tag[] = [
    [258, 3, [32, 32, 32]],
    [339, 3, [3, 3, 3]],
  ]
  const floating = { ...first, rgb: Buffer.from(Float32Array.from(first.rgb, (level) => level / 255).buffer), tags }
  const flipped = (await animatedPng([innocent, known])).toString('latin1').replace('acTL', 'acTl')
  const smallScreen = await sharp(known).gif().toBuffer()
  smallScreen.writeUInt16LE(40, 6)
  smallScreen.writeUInt16LE(40, 8)
  const frame = await animate('webp', innocent, known)
  const withFrame = withRiffChunk(
    await sharp(innocent).ensureAlpha(0.9).webp().toBuffer(),
    'ANMF',
    frame.subarray(frame.lastIndexOf('ANMF') + 8),
  )
  return [
    held('gif, frame larger than the screen', smallScreen),
    held('webp, frame of an animation beside a still picture', withFrame),
    held('png, colours of another kind', withChunks(innocent, pngChunk('cICP', Buffer.from([9, 16, 0, 1])))),
    found('gif, later frame', await animate('gif', innocent, innocent, known)),
    found('webp, later frame', await animate('webp', innocent, innocent, known)),
    found('apng, later frame', animatedPng([innocent, known])),
    found('apng, two halves one after the other', apngOfParts(innocent, [left, right], width)),
    found('apng, still picture apart from the animation', apngWithStill(known, innocent)),
    found('apng, animation apart from the still picture', apngWithStill(innocent, known)),
    held('apng, announced by a chunk of another name', Buffer.from(flipped, 'latin1')),
    held('apng, announces fewer frames than it has', recount(animatedPng([innocent, known]), 1)),
    found('tiff, later page', tiff([first, second])),
    found('tiff, later page of another size', tiff([first, third])),
    found('tiff, known picture first', tiff([second, first])),
    held('tiff, page below a page', tiff([first], { hidden: [second], sub: true })),
    held('tiff, page in no chain', tiff([first], { hidden: [second] })),
    held('tiff, numbers with a point', tiff([floating])),
    held('tiff, chain without an end', tiff([first, first], { loop: true })),
    found('avif', await avif([{ picture: known }])),
    held('avif, second picture', await avif([{ picture: innocent }, { picture: known }])),
    held('avif, hidden picture', await avif([{ picture: innocent }, { picture: known, hidden: true }])),
    held('avif, thumbnail', await avif([{ picture: innocent }, { picture: known, refersTo: { type: 'thmb', id: 1 } }])),
    held('avif, second frame in the data of the first', await avif([{ picture: innocent, second: known }])),
    held('avif, first frame of two in the same data', await avif([{ picture: known, second: innocent }])),
    held('avif, sequence', await avif([{ picture: innocent }], { top: [box('moov', box('mvhd', known))] })),
    held('avif, brand of sequences', await avif([{ picture: innocent }], { brand: 'avis' })),
    held(
      'avif, layer to choose',
      await avif([{ picture: innocent }], { properties: [box('lsel', Buffer.from([0, 1]))] }),
    ),
    held(
      'avif, cropped',
      await avif([{ picture: innocent }], {
        properties: [box('clap', ...[width / 2, 1, height / 2, 1, 0, 1, 0, 1].map(u32be))],
      }),
    ),
  ]
}

function recount(apng: Buffer, frames: number): Buffer {
  const at = apng.indexOf('acTL') - 4
  return Buffer.concat([
    apng.subarray(0, at),
    pngChunk('acTL', Buffer.concat([u32be(frames), u32be(0)])),
    apng.subarray(at + 20),
  ])
}

/** An APNG whose first frame is whole, and whose later ones are laid side by side upon it. */
function apngOfParts(base: Buffer, parts: Buffer[], width: number): Buffer {
  return apng([{ png: base }, ...parts.map((png, i) => ({ png, left: (i * width) / parts.length }))])
}

/** An APNG of one frame, and a still picture for viewers that know no APNG. */
function apngWithStill(still: Buffer, frame: Buffer): Buffer {
  return Buffer.concat([
    still.subarray(0, 33),
    pngChunk('acTL', Buffer.concat([u32be(1), u32be(0)])),
    ...pngData(still).map((data) => pngChunk('IDAT', data)),
    frameControl(0, { png: frame }),
    ...pngData(frame).map((data, i) => pngChunk('fdAT', Buffer.concat([u32be(i + 1), data]))),
    pngChunk('IEND', Buffer.alloc(0)),
  ])
}
