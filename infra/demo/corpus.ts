import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { z } from 'zod'
import { type Derivation, derivations, type Picture } from './derivations.ts'
import { loadOriginals, type Original } from './originals.ts'
import { provenance } from './provenance.ts'
import { writeStandInList } from './stand-in-list.ts'

/** Changes when other items would be made. */
const VERSION = '1'

const mediaTypes: Readonly<Record<string, string>> = {
  jpg: 'image/jpeg',
  png: 'image/png',
  webp: 'image/webp',
  gif: 'image/gif',
}

const indexFile = z.object({
  version: z.literal(VERSION),
  items: z.array(
    z.object({
      /** below the folder of pictures, with / between names */
      path: z.string(),
      /** name of the original; null where there is none */
      original: z.string().nullable(),
      derivation: z.string(),
      family: z.string(),
      /** whether the original is on the stand-in list */
      listed: z.boolean(),
      /** where the item must end; held: quarantine or review */
      expected: z.enum(['clean', 'quarantine', 'held']),
      /** a reason that must be among the verdict's; null where it is left open */
      reason: z.string().nullable(),
      sha256: z.string(),
    }),
  ),
})
export type CorpusItem = z.infer<typeof indexFile>['items'][number]

/** The stand-in corpus on disk. */
export type Corpus = {
  /** folder of the items and their sidecars */
  pictures: string
  /** hash list of the listed originals, CSV */
  list: string
  items: CorpusItem[]
}

export type CorpusOptions = {
  /** which of the originals to use; default: all */
  originals?: (original: Original) => boolean
  /** which derivations to make of each; default: all */
  derivations?: (derivation: Derivation) => boolean
  onProgress?: (made: number) => void
}

/**
 * Makes the stand-in corpus, or finds it made: originals and their derivatives, each with made-up provenance in a sidecar,
 * some broken files, the index `expected.json`, and the stand-in list. Always the same bytes from the same image library.
 * @param folder where it is put; what lies there of another version is replaced
 */
export async function makeCorpus(folder: string, options: CorpusOptions = {}): Promise<Corpus> {
  const place = { pictures: join(folder, 'pictures'), list: join(folder, 'stand-in.csv') }
  const found = await readIndex(folder)
  if (found !== null) return { ...place, items: found }

  const draft = `${folder}.new`
  await rm(draft, { recursive: true, force: true })
  const originals = (await loadOriginals()).filter(options.originals ?? (() => true))
  const wanted = derivations.filter(options.derivations ?? (() => true))
  const items: CorpusItem[] = []
  async function add(item: Omit<CorpusItem, 'sha256'>, bytes: Buffer): Promise<void> {
    const path = join(draft, 'pictures', item.path)
    const mediaType = mediaTypes[item.path.slice(item.path.lastIndexOf('.') + 1)] ?? ''
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, bytes)
    await writeFile(
      `${path}.json`,
      `${JSON.stringify(provenance(items.length + 1, item.path, mediaType, bytes.length), null, 2)}\n`,
    )
    items.push({ ...item, sha256: createHash('sha256').update(bytes).digest('hex') })
    options.onProgress?.(items.length)
  }

  const pictures = await Promise.all(originals.map(measure))
  for (const original of originals) {
    const picture = await measure(original)
    const other = pictures.find((_, at) => originals[at]?.listed === false && originals[at] !== original) ?? picture
    const made = await Promise.all(wanted.map((derivation) => derivation.make(picture, other)))
    for (const [at, { name, family, extension, expectation }] of wanted.entries()) {
      const { listed } = original
      await add(
        {
          path: `${original.name}/${name}.${extension}`,
          original: original.name,
          derivation: name,
          family,
          listed,
          expected: listed ? expectation : 'clean',
          reason: listed && name === 'identical' ? 'KNOWN_EXACT' : null,
        },
        made[at] ?? Buffer.alloc(0),
      )
    }
  }
  for (const { path, reason, bytes } of brokenItems(originals)) {
    const derivation = path.slice(path.indexOf('/') + 1, path.lastIndexOf('.'))
    await add(
      { path, original: null, derivation, family: 'broken', listed: false, expected: 'quarantine', reason },
      bytes,
    )
  }
  const known = originals.filter(({ listed }) => listed)
  await writeStandInList(
    join(draft, 'stand-in.csv'),
    known.map(({ name, bytes }) => ({ id: name, bytes })),
  )
  await writeFile(join(draft, 'expected.json'), `${JSON.stringify({ version: VERSION, items }, null, 2)}\n`)
  await rm(folder, { recursive: true, force: true })
  await rename(draft, folder)
  return { ...place, items }
}

async function readIndex(folder: string): Promise<CorpusItem[] | null> {
  try {
    return indexFile.parse(JSON.parse(await readFile(join(folder, 'expected.json'), 'utf8'))).items
  } catch {
    // Not made yet, of another version or damaged: it is made anew in each case.
    return null
  }
}

async function measure({ bytes }: Original): Promise<Picture> {
  const { width, height } = await sharp(bytes).metadata()
  return { bytes, width, height }
}

function brokenItems(originals: readonly Original[]): { path: string; reason: string; bytes: Buffer }[] {
  const whole = originals.find(({ listed }) => !listed)?.bytes ?? Buffer.alloc(0)
  return [
    {
      path: 'broken/cut-short.jpg',
      reason: 'MEDIA_INCOMPLETE',
      bytes: whole.subarray(0, Math.floor(whole.length * 0.6)),
    },
    { path: 'broken/text.jpg', reason: 'MEDIA_UNSUPPORTED', bytes: Buffer.from('This is a text and no picture.\n') },
    { path: 'broken/noise.png', reason: 'MEDIA_UNSUPPORTED', bytes: noise(4096) },
    { path: 'broken/empty.gif', reason: 'PAYLOAD_EMPTY', bytes: Buffer.alloc(0) },
  ]
}

/** Bytes without any sense, the same each time. */
function noise(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, n) =>
    createHash('sha256').update(`noise ${n}`).digest(),
  )
  return Buffer.concat(blocks).subarray(0, length)
}
