import { basename } from 'node:path'
import { Option } from 'commander'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { fileStatus, isInBucket, isReadable, nameBelow, objectsBelow } from '../platform/files/files.ts'
import type { Found, Importer, Part } from './importer.ts'
import { unreadable } from './read-failure.ts'
import { readWarc, type Supplied } from './warc/read-warc.ts'

/** `sluice crawl warc FILE...`: what crawlers have captured. */
export const warcImporter: Importer = {
  name: 'warc',
  summary: 'publish what WARC files hold',
  description:
    'Publishes the responses with status 200 and the resources of each WARC 1.0 or 1.1, plain or gzip, with what its records tell:\n' +
    'how it was fetched, over which redirects, from which address, on which page it was shown, and which rights were signalled.\n' +
    'A page tells of pictures that stand behind it in the same file. What is damaged is told with file and offset, and the rest is published.',
  argument: 'FILE...',
  argumentMeaning: 'WARC files to publish; also s3://BUCKET/KEY, or a prefix of such',
  options: () => [
    new Option('--supplier <name>', 'who supplied all of it, where it was not crawled by yourselves'),
    new Option('--dataset <name>', 'dataset that it belongs to, e.g. the crawl'),
    new Option('--dataset-version <version>', 'version of that dataset'),
  ],
  example: 'sluice crawl warc crawl-00000.warc.gz crawl-00001.warc.gz --dataset autumn-crawl',
  recognises: async (path) => WARC.test(path) && (await fileStatus(path))?.kind === 'file',
  async *parts(files, options) {
    const { supplier, dataset, datasetVersion: version } = ownOptions.parse(options)
    for await (const file of warcsOf(files)) yield await warcPart(file, { supplier, dataset, version })
  },
}

const WARC = /\.warc(\.gz)?$/i

/** What was named; where that is a folder in a bucket, the WARC files below it. */
async function* warcsOf(names: readonly string[]): AsyncGenerator<string> {
  for (const name of names) {
    if (!isInBucket(name) || (await fileStatus(name))?.kind !== 'folder') yield name
    else for await (const path of objectsBelow(name)) if (WARC.test(path)) yield nameBelow(name, path)
  }
}

const named = z.string().nullable().default(null)
const ownOptions = z.object({ supplier: named, dataset: named, datasetVersion: named })

async function warcPart(file: string, supplied: Supplied): Promise<Part> {
  const found = await fileStatus(file)
  if (found === null || !(await isReadable(file)))
    throw new SluiceError('USAGE', `there is no file ${file} that can be read: name WARC files`)
  return { name: file, identity: found.identity, size: found.size, read: () => read(file, supplied) }
}

async function* read(file: string, supplied: Supplied): AsyncGenerator<Found> {
  try {
    yield* readWarc(file, { file: basename(file), supplied })
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw unreadable(file, cause)
  }
}
