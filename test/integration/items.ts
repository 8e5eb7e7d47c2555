import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import sharp from 'sharp'
import { emptyEnvelope } from '../../services/domain/envelope.ts'
import { pdqHashes } from '../../services/domain/pdq.ts'
import type { CrawlItem, PayloadGroup } from '../../services/domain/records.ts'

const packages = join(import.meta.dirname, '../../node_modules/@stdlib')

/** Photographs in the public domain that come with packages. */
export const photographs = [
  'acanthus-mollis',
  'airplane-from-above',
  'allium-oreophilum',
  'french-alpine-landscape',
  'locomotion-house-cat',
  'nagasaki-boats',
] as const
export type Photograph = (typeof photographs)[number]

/** The bytes of a photograph, a JPEG. */
export function photograph(name: Photograph): Buffer {
  return readFileSync(join(packages, `datasets-img-${name}`, 'data/image.jpg'))
}

/**
 * A small picture of its own for every number: grey noise, 16 by 16, as PNG.
 * @param seed a whole number
 */
export function tinyPicture(seed: number): Promise<Buffer> {
  const noise = Buffer.concat(Array.from({ length: 8 }, (_, part) => hash('sha256', `${seed}/${part}`, 'buffer')))
  return sharp(noise, { raw: { width: 16, height: 16, channels: 1 } })
    .png()
    .toBuffer()
}

/** lower-case hex */
export function sha256(bytes: Uint8Array): string {
  return hash('sha256', bytes)
}

/** PDQ hash of a picture as it stands. */
export async function pdq(picture: Buffer): Promise<{ hex: string; quality: number }> {
  const { data, info } = await sharp(picture).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  const { hashes, quality } = pdqHashes(data, info.width, info.height)
  return { hex: Buffer.from(hashes.identity).toString('hex'), quality }
}

/** The hash with the first `bits` bits turned over: another hash at exactly that distance. */
export function pdqAtDistance(hex: string, bits: number): string {
  const bytes = Buffer.from(hex, 'hex')
  for (let bit = 0; bit < bits; bit++) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return bytes.toString('hex')
}

/**
 * An item of the door.
 * @param content its bytes inline, or the reference under which they should lie in the intake store, or both, or neither
 * @param claims what the crawler says of the payload; nothing else is claimed
 */
export function crawlItem(
  id: string,
  content: { inline?: Buffer; reference?: string },
  claims: Partial<PayloadGroup> = {},
): CrawlItem {
  const payload = { reference: content.reference ?? null, size: null, md5: null, sha1: null, sha256: null, ...claims }
  return {
    envelope: {
      ...emptyEnvelope(),
      item: { id, mediaTypeClaimed: 'image/jpeg', collectedAt: 1_767_225_600_000 },
      payload,
    },
    inline: content.inline ?? null,
  }
}
