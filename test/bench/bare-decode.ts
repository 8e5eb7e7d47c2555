import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import sharp from 'sharp'

/*
 * Decodes pictures and does nothing else: what any scan must spend at least. Says `ready`, and for each line on stdin decodes all files once and
 * says `done`.  bare-decode.ts AT-ONCE FILE...
 */
const [atOnce = '1', ...files] = process.argv.slice(2)
sharp.concurrency(1)
sharp.cache(false)
const pictures = files.map((file) => readFileSync(file))

async function decodeEach(queue: Iterator<Buffer>): Promise<void> {
  for (let next = queue.next(); !next.done; next = queue.next()) {
    await sharp(next.value).toColourspace('srgb').raw().toBuffer()
  }
}

process.stdout.write('ready\n')
for await (const _ of createInterface(process.stdin)) {
  const queue = pictures.values()
  await Promise.all(Array.from({ length: Number(atOnce) }, () => decodeEach(queue)))
  process.stdout.write('done\n')
}
