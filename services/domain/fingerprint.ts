import { type Orientation, orientations } from './pdq.ts'
import type { ItemFault } from './reasons.ts'
import type { Signal } from './records.ts'

/** Everything computed from a payload. */
export type Fingerprint = Signal[]

/** What inspection makes of a payload: its fingerprint, and the faults that keep it from being cleared. */
export type Inspection = {
  /** IANA media type as sniffed; null when nothing was recognised */
  mediaType: string | null
  /** perceptual signals only, frame by frame, the first frame as it stands first; exact digests are added by the gate */
  fingerprint: Fingerprint
  /** each at most once; an inspection without faults has at least one signal */
  faults: ItemFault[]
}

/** How much one payload may cost. */
export type InspectLimits = {
  /** most pixels of one frame (width * height) */
  pixels: number
  /** most frames that are hashed */
  frames: number
  /** longest time for one attempt, in seconds */
  seconds: number
}

/** The transform of a picture that was hashed as it stands: upright, and on white where it is transparent. */
export const AS_IT_STANDS = 'identity' satisfies Orientation

/** With the colours as stored, where the colour profile that viewers should heed changes them much. */
export const WITHOUT_PROFILE = 'without-profile'
/** With the colours that a viewer makes of them where the picture names an unusual gamma. */
export const WITH_GAMMA = 'with-gamma'
const colours = [WITHOUT_PROFILE, WITH_GAMMA] as const
/** Instead of on white: shown on black, or with the colours that transparency hides. */
const backgrounds = ['on-black', 'without-alpha'] as const
/** Instead of upright: as stored, when its EXIF data says that viewers shall turn it. */
export const UNTURNED = 'unturned'
/**
 * Without its one-coloured borders; of those on both axes only the one above and below, or only the one left and right;
 * twice where there was a second border within the first.
 */
const trims = ['trimmed', 'trimmed-rows', 'trimmed-columns', 'trimmed-twice'] as const

/** Sampled as if the pixels had been turned first; without it, derived from the coefficients of the unturned picture. */
export const TURNED = 'turned'

const either = (words: readonly string[]) => `(${words.join('|')})`
const grammar = new RegExp(
  `^(${either(colours)}\\+)?(${either(backgrounds)}\\+)?(${UNTURNED}\\+)?(${either(trims)}\\+)?(${TURNED}\\+)?${either(orientations)}$`,
)

/** Whether a text is a transform: `[without-profile+ | with-gamma+][on-black+ | without-alpha+][unturned+][trimmed... +][turned+]orientation`. */
export function isTransform(text: string): boolean {
  return grammar.test(text)
}
