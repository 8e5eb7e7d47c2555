import sharp from 'sharp'
import { photograph } from '../../integration/items.ts'

import { besidePictures } from './beside.ts'
import { bombs } from './bombs.ts'
import { colourTricks } from './colours.ts'
import { hostileDrawings } from './drawings.ts'
import type { HostileFile, Pair } from './file.ts'
import { laterFrames } from './frames.ts'

/** The pictures that the corpus is made of: two photographs of one small size. */
export async function makePair(): Promise<Pair> {
  const [width, height] = [256, 192]
  const small = (name: Parameters<typeof photograph>[0]) =>
    sharp(photograph(name)).resize(width, height, { fit: 'fill' }).png().toBuffer()
  return { known: await small('nagasaki-boats'), innocent: await small('airplane-from-above'), width, height }
}

/** Makers of hostile files, by what they are about. */
export const families: Readonly<Record<string, (pair: Pair) => Promise<HostileFile[]>>> = {
  'later frames and pages': laterFrames,
  'pictures beside pictures': besidePictures,
  'transparency, turns and colours': colourTricks,
  drawings: hostileDrawings,
  bombs,
}
