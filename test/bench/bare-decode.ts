import { createInterface } from 'node:readline'
import sharp from 'sharp'

/*
 * Decodes pictures and does nothing else: what any scan must spend at least. Says `ready` once it is warm, and for each line on stdin decodes all
 * files once and says `done`.  bare-decode.ts plain|released AT-ONCE FILE...
 */
const [way = 'plain', atOnce = '1', ...files] = process.argv.slice(2)
const WARM_UP = 50

sharp.concurrency(1)
sharp.cache(false)

/** As sharp's documentation shows it. */
async function plain(file: string): Promise<void> {
  await sharp(file).raw().toBuffer()
}

/** The same, and the memory is given back at once, as our scanners do. */
async function released(file: string): Promise<void> {
  const { buffer } = await sharp(file).raw().toBuffer()
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

const decode = way === 'released' ? released : plain

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
