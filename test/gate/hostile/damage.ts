import fc from 'fast-check'
import sharp from 'sharp'
import { animatedPng } from '../inspect-made.ts'
import { drawing, image } from './drawings.ts'
import { pageOf, tiff } from './parts.ts'

/** One whole file of every type that is inspected, with one and with several frames. */
export async function wholeFiles(known: Buffer, innocent: Buffer): Promise<Record<string, Buffer>> {
  const animate = (format: 'gif' | 'webp') =>
    sharp([innocent, known], { join: { animated: true } })
      .toFormat(format)
      .toBuffer()
  return {
    jpeg: await sharp(known).jpeg().toBuffer(),
    'progressive jpeg': await sharp(known).jpeg({ progressive: true }).toBuffer(),
    png: await sharp(known).png().toBuffer(),
    apng: animatedPng([innocent, known]),
    gif: await sharp(known).gif().toBuffer(),
    'animated gif': await animate('gif'),
    webp: await sharp(known).webp().toBuffer(),
    'webp without loss': await sharp(known).webp({ lossless: true }).toBuffer(),
    'animated webp': await animate('webp'),
    avif: await sharp(known).avif({ effort: 0 }).toBuffer(),
    'avif with alpha': await sharp(known).ensureAlpha(0.5).avif({ effort: 0 }).toBuffer(),
    tiff: tiff([await pageOf(innocent), await pageOf(known)]),
    'tiff of deflate': await sharp(known).tiff({ compression: 'deflate' }).toBuffer(),
    svg: drawing(image('png', known)),
  }
}

/** A change of a file: bytes turned over, put in, taken out, repeated or cleared, most of them near its beginning. */
export const damages = fc
  .array(
    fc.record({
      kind: fc.constantFrom('flip', 'set', 'insert', 'remove', 'repeat', 'clear'),
      place: fc.oneof(fc.nat(200), fc.nat(2 ** 31 - 1)),
      length: fc.integer({ min: 1, max: 64 }),
      value: fc.nat(255),
    }),
    { minLength: 1, maxLength: 4 },
  )
  .map(
    (changes) =>
      (file: Buffer): Buffer =>
        changes.reduce(damage, file),
  )

type Change = { kind: string; place: number; length: number; value: number }

function damage(file: Buffer, { kind, place, length, value }: Change): Buffer {
  if (file.length === 0) return file
  const at = place % file.length
  const changed = Buffer.from(file)
  const [before, after] = [file.subarray(0, at), file.subarray(at)]
  if (kind === 'flip') changed[at] = (changed[at] ?? 0) ^ (1 << (value & 7))
  else if (kind === 'set') changed[at] = value
  else if (kind === 'clear') changed.fill(0, at, Math.min(at + length, file.length))
  else if (kind === 'insert') return Buffer.concat([before, Buffer.alloc(length, value), after])
  else if (kind === 'remove') return Buffer.concat([before, after.subarray(length)])
  else return Buffer.concat([before, after.subarray(0, length), after])
  return changed
}
