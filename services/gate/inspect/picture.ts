import { bitsApart } from '../../domain/bits-apart.ts'
import { type Inspection, type InspectLimits, WITH_GAMMA, WITHOUT_PROFILE } from '../../domain/fingerprint.ts'
import type { ItemFault } from '../../domain/reasons.ts'
import { sniffMediaType } from '../../platform/sniff-media-type.ts'
import { apngFrames } from './apng.ts'
import type { Container } from './containers/container.ts'
import { readContainer } from './containers/read-container.ts'
import { singlePages } from './containers/tiff.ts'
import { decode, decodeJpeg, formats, groupPixels, type Header, readHeader, release } from './decode.ts'
import { type Embedded, findEmbedded } from './embedded.ts'
import { hashAsItStands, hashFrame } from './hash-frame.ts'
import { exifTurns, type Raw, withGamma } from './pixels.ts'
import { readPlainSvg } from './svg/plain-svg.ts'
import { drawSvg, drawsOutside } from './svg/svg-views.ts'

/** Pictures within pictures within pictures: deeper is nothing that a camera does. */
const deepest = 3
/** Bytes after the end that can't hold a picture worth the name. */
const harmlessRest = 64
/** Bits that a colour profile may change without being looked at on its own. */
const sameHash = 8

/** What has been seen of a payload so far: its own frames, then those of the pictures within it. */
type Sight = {
  limits: InspectLimits
  fingerprint: Inspection['fingerprint']
  faults: Set<ItemFault>
  /** number of the next frame */
  next: number
}
/** A frame with its colours as a viewer has them, or, second, as one that ignores profiles has them. */
type Shown = { index: number; raw: Raw; orientation: number; ignoreIcc: boolean }
type Picture = { payload: Uint8Array; header: Header; container: Container }

/** Types whose frames we tell apart ourselves. */
const frameByFrame = new Set(['image/apng', 'image/tiff'])
const shownBy: Readonly<Record<string, typeof framesShown>> = {
  'image/apng': apngShown,
  'image/tiff': pagesShown,
  'image/svg+xml': svgShown,
}

/**
 * Hashes every frame of a picture, and of the pictures that its container holds beside it, in all the ways that a viewer, or somebody
 * evading the lists, might show them.
 */
export async function inspectPicture(
  payload: Uint8Array,
  mediaType: string,
  limits: InspectLimits,
): Promise<Pick<Inspection, 'fingerprint' | 'faults'>> {
  const sight: Sight = { limits, fingerprint: [], faults: new Set(), next: 0 }
  await look(payload, mediaType, sight, 0)
  const { fingerprint, faults } = sight
  if (fingerprint.length === 0 && faults.has('MEDIA_UNDECODABLE')) faults.delete('MEDIA_INCOMPLETE')
  return { fingerprint, faults: [...faults] }
}

async function look(payload: Uint8Array, mediaType: string, sight: Sight, depth: number): Promise<void> {
  const { limits, faults, fingerprint } = sight
  if (sight.next >= limits.frames || depth > deepest) {
    faults.add(depth > deepest ? 'MEDIA_INCOMPLETE' : 'FRAMES_OVER_LIMIT')
    return
  }
  // Of a picture beside others, nothing is as little as too little.
  const undecodable: ItemFault = depth === 0 ? 'MEDIA_UNDECODABLE' : 'MEDIA_INCOMPLETE'
  const text = mediaType === 'image/svg+xml' ? Buffer.from(payload).toString('utf8') : ''
  const svg = mediaType === 'image/svg+xml' ? readPlainSvg(text) : null
  const header = svg?.safe === false ? null : await readHeader(payload)
  if (header === null || header.format !== formats[mediaType]) {
    faults.add(undecodable)
    return
  }
  if (header.width * header.height > limits.pixels) {
    faults.add('DIMENSIONS_OVER_LIMIT')
    return
  }
  const container = readContainer(payload, mediaType)
  const shownFrames = frameByFrame.has(mediaType) ? container.frames : header.pages
  if (!container.whole || container.frames > shownFrames) faults.add('MEDIA_INCOMPLETE')
  const count = Math.min(shownFrames, limits.frames - sight.next)
  if (shownFrames > count) faults.add('FRAMES_OVER_LIMIT')

  const before = fingerprint.length
  const picture = { payload, header, container }
  await hashAll((shownBy[mediaType] ?? framesShown)(picture, count, sight), picture, sight)
  if (fingerprint.length === before) faults.add(undecodable)
  sight.next += count

  if (svg !== null) {
    if (!svg.plain || svg.root === null || (await drawsOutside(text, svg.root, limits))) faults.add('MEDIA_INCOMPLETE')
    for (const image of svg.images) await lookAtImage(image, sight, depth)
  }
  await lookBeside(container, sight, depth)
}

/** Whatever a drawing has as a picture must be one. */
async function lookAtImage(image: Buffer, sight: Sight, depth: number): Promise<void> {
  const mediaType = await sniffMediaType(image)
  if (mediaType === null || formats[mediaType] === undefined || mediaType === 'image/svg+xml') {
    sight.faults.add('MEDIA_INCOMPLETE')
  } else await look(image, mediaType, sight, depth + 1)
}

/** Looks at what lies in the container and is not drawn: previews in its metadata, and what follows its end. */
async function lookBeside({ metadata, rest }: Container, sight: Sight, depth: number): Promise<void> {
  const most = sight.limits.frames * 2
  const pictures: Embedded[] = []
  let unexplained = 0
  for (const [parts, isRest] of [
    [metadata, false],
    [rest, true],
  ] as const) {
    for (const part of parts) {
      if (part.length <= harmlessRest) continue
      const finds = await findEmbedded(part, most)
      pictures.push(...finds.pictures)
      if (finds.document || finds.more) sight.faults.add('MEDIA_INCOMPLETE')
      if (isRest) unexplained += finds.unexplained
    }
  }
  if (unexplained > harmlessRest) sight.faults.add('MEDIA_INCOMPLETE')
  for (const { bytes, mediaType } of pictures) await look(bytes, mediaType, sight, depth + 1)
}

async function hashAll(shown: AsyncGenerator<Shown>, { header, container }: Picture, sight: Sight): Promise<void> {
  const { fingerprint } = sight
  const withProfile = new Map<number, Uint8Array>()
  for await (const { index, raw, orientation, ignoreIcc } of shown) {
    const upright = exifTurns[orientation - 1] ?? 'identity'
    const frame = sight.next + index
    const asItStands = header.hasProfile ? hashAsItStands(raw, upright) : null
    const before = withProfile.get(index)
    if (asItStands === null || before === undefined) fingerprint.push(...hashFrame(raw, frame, upright))
    else if (bitsApart(before, asItStands) > sameHash)
      fingerprint.push(...hashFrame(raw, frame, upright, WITHOUT_PROFILE))
    if (asItStands !== null && before === undefined) withProfile.set(index, asItStands)
    if (container.gamma !== 1 && ignoreIcc === header.hasProfile) {
      fingerprint.push(...hashFrame(withGamma(raw, container.gamma), frame, upright, WITH_GAMMA))
    }
  }
}

/** Pages of one size, which the decoder shows in groups. */
async function* framesShown({ payload, header }: Picture, count: number, sight: Sight): AsyncGenerator<Shown> {
  const step = Math.max(1, Math.floor(groupPixels / (header.width * header.height)))
  for (let first = 0; first < count; first += step) {
    for (const ignoreIcc of colourWays(header)) {
      const group = { first, count: Math.min(step, count - first) }
      const asStored = header.format === 'jpeg' && (ignoreIcc || !header.hasProfile)
      const { frames, damaged } =
        (asStored ? decodeJpeg(payload, sight.limits) : null) ??
        (await decode(payload, group, sight.limits, { ignoreIcc }))
      if (damaged) sight.faults.add('MEDIA_INCOMPLETE')
      try {
        for (const { index, raw } of frames) yield { index, raw, orientation: header.orientation, ignoreIcc }
      } finally {
        release(frames)
      }
    }
  }
}

/** Pages of any size each. */
async function* pagesShown({ payload }: Picture, count: number, sight: Sight): AsyncGenerator<Shown> {
  const { faults, limits } = sight
  let index = 0
  for (const page of singlePages(payload)) {
    if (index >= count) break
    const header = await readHeader(page)
    if (header === null) faults.add('MEDIA_INCOMPLETE')
    else if (header.width * header.height > limits.pixels) faults.add('DIMENSIONS_OVER_LIMIT')
    else {
      for (const ignoreIcc of colourWays(header)) {
        const { frames, damaged } = await decode(page, { first: 0, count: 1 }, limits, { ignoreIcc })
        if (damaged) faults.add('MEDIA_INCOMPLETE')
        for (const { raw } of frames) yield { index, raw, orientation: header.orientation, ignoreIcc }
        release(frames)
      }
    }
    index++
  }
}

async function* apngShown({ payload, header }: Picture, count: number, sight: Sight): AsyncGenerator<Shown> {
  for (const ignoreIcc of colourWays(header)) {
    const decodePng = (png: Buffer) => decode(png, { first: 0, count: 1 }, sight.limits, { ignoreIcc })
    let index = 0
    for await (const { raw, damaged } of apngFrames(payload, decodePng)) {
      if (damaged) sight.faults.add('MEDIA_INCOMPLETE')
      if (raw !== null) yield { index, raw, orientation: header.orientation, ignoreIcc }
      if (++index >= count) break
    }
  }
}

async function* svgShown({ payload, header }: Picture, _count: number, sight: Sight): AsyncGenerator<Shown> {
  const { frames, damaged } = await drawSvg(payload, header, sight.limits)
  if (damaged) sight.faults.add('MEDIA_INCOMPLETE')
  for (const { index, raw } of frames) yield { index, raw, orientation: 1, ignoreIcc: false }
}

/** Not every viewer heeds a colour profile. */
function colourWays({ hasProfile }: Header): boolean[] {
  return hasProfile ? [false, true] : [false]
}
