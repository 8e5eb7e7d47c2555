import { type Fingerprint, TURNED, UNTURNED } from '../../domain/fingerprint.ts'
import { type Orientation, orientations, PDQ_VERSION, pdqHashes } from '../../domain/pdq.ts'
import { findPicture } from './border.ts'
import { crop, dropAlpha, flatten, isTransparent, type Pixels, packed, type Raw, turn } from './pixels.ts'

/**
 * Hashes a frame in all the ways that a viewer, or somebody evading the lists, might show it.
 * @param upright the turn that its EXIF data asks for
 * @param colours first word of the transforms: how its colours were had, if not as usual
 */
export function hashFrame(raw: Raw, frame: number, upright: Orientation, colours: string | null = null): Fingerprint {
  const fingerprint: Fingerprint = []
  const seen = new Set<string>()
  for (const { name, pixels } of variantsOf(raw, upright)) {
    const { quality, hashes, turned } = pdqHashes(pixels.rgb, pixels.width, pixels.height, pixels.rowBytes)
    const signalOf = (hash: Uint8Array, transform: string[]) => ({
      signal: 'pdq',
      version: PDQ_VERSION,
      value: Buffer.from(hash),
      quality,
      frame,
      transform: [...(colours === null ? [] : [colours]), ...transform].join('+'),
    })
    const signals = orientations.flatMap((orientation) => {
      const [derived, sampled] = [hashes[orientation], turned[orientation]]
      const signal = signalOf(derived, [...name, orientation])
      if (Buffer.compare(derived, sampled) === 0) return [signal]
      return [signal, signalOf(sampled, [...name, TURNED, orientation])]
    })
    const print = Buffer.concat(signals.map(({ value }) => value)).toString('latin1')
    if (seen.has(print)) continue
    seen.add(print)
    fingerprint.push(...signals)
  }
  return fingerprint
}

/** The hash of a frame as a viewer shows it, on white and upright. */
export function hashAsItStands(raw: Raw, upright: Orientation): Uint8Array {
  const { value } = variantsOf(raw, upright).next()
  if (value === undefined) return new Uint8Array()
  const { rgb, width, height, rowBytes } = value.pixels
  return pdqHashes(rgb, width, height, rowBytes).hashes.identity
}

type Variant = { name: string[]; pixels: Pixels }

/** Every combination of background, turn and trimming, one at a time; the picture as it stands first. */
function* variantsOf(raw: Raw, upright: Orientation): Generator<Variant> {
  for (const shown of shownOn(raw)) {
    for (const turned of turnedAs(shown, upright)) yield* trimmedFrom(turned)
  }
}

function* shownOn({ data, width, height, channels }: Raw): Generator<Variant> {
  if (channels === 3) return yield { name: [], pixels: packed(data, width, height) }
  if (!isTransparent(data)) return yield { name: [], pixels: packed(dropAlpha(data), width, height) }
  yield { name: [], pixels: packed(flatten(data, 255), width, height) }
  yield { name: ['on-black'], pixels: packed(flatten(data, 0), width, height) }
  yield { name: ['without-alpha'], pixels: packed(dropAlpha(data), width, height) }
}

function* turnedAs({ name, pixels }: Variant, upright: Orientation): Generator<Variant> {
  if (upright === 'identity') return yield { name, pixels }
  yield { name, pixels: turn(pixels, upright) }
  yield { name: [...name, UNTURNED], pixels }
}

function* trimmedFrom(variant: Variant): Generator<Variant> {
  const { name, pixels } = variant
  yield variant
  const box = findPicture(pixels, false)
  if (box === null) return
  const trimmed = crop(pixels, box)
  yield { name: [...name, 'trimmed'], pixels: trimmed }
  // Where bars run along two sides, the other two may be plain parts of the picture itself.
  if (box.width < pixels.width && box.height < pixels.height) {
    yield { name: [...name, 'trimmed-rows'], pixels: crop(pixels, { ...box, left: 0, width: pixels.width }) }
    yield { name: [...name, 'trimmed-columns'], pixels: crop(pixels, { ...box, top: 0, height: pixels.height }) }
  }
  const inner = findPicture(trimmed, true)
  if (inner !== null) yield { name: [...name, 'trimmed-twice'], pixels: crop(trimmed, inner) }
}
