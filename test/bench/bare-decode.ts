import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import sharp from 'sharp'
import { decode as decodeBySharp, decodeJpeg, preparePictures, release } from '../../services/gate/inspect/decode.ts'

/*
 * Decodes pictures and does nothing else: what any scan must spend at least. Says `ready` once it is warm, and for each line on stdin decodes all
 * files once and says `done`.  bare-decode.ts plain|own AT-ONCE FILE...
 */
const [way = 'plain', atOnce = '1', ...files] = process.argv.slice(2)
const WARM_UP = 50

sharp.concurrency(1)
sharp.cache(false)

/** As sharp's documentation shows it. */
async function plain(file: string): Promise<void> {
  await sharp(file).raw().toBuffer()
}

/** As our scanners do, with whatever decoder they have, and the memory is given back at once. */
async function own(file: string): Promise<void> {
  const limits = { pixels: 50_000_000, frames: 1, seconds: 60 }
  const payload = await readFile(file)
  release((decodeJpeg(payload, limits) ?? (await decodeBySharp(payload, { first: 0, count: 1 }, limits))).frames)
}

if (way === 'own') await preparePictures()
const decode = way === 'own' ? own : plain

async function decodeAll(names: readonly string[]): Promise<void> {
  const queue = names.values()
  const worker = async (): Promise<void> => {
    for (const file of queue) await decode(file)
  }
  await Promise.all(Array.from({ length: Number(atOnce) }, worker))
}

await decodeAll(files.slice(0, WARM_UP))
process.stdout.write('ready\n')
for await (const _ of createInterface(process.stdin)) {
  await decodeAll(files)
  process.stdout.write('done\n')
}
