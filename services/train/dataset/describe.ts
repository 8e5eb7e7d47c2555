import { hash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { extensionOf } from '../../domain/media-types.ts'
import { timeText } from '../../domain/time-text.ts'
import { writeDurably } from '../../platform/write-durably.ts'
import { type Snapshot, snapshotSchema } from '../snapshot.ts'
import { type About, aboutSchema, type Dataset, manifestPath, type Standing, tarPath } from './dataset.ts'
import { createSums, type Sums, sumsSchema } from './dataset-sums.ts'
import { manifestColumns } from './manifest.ts'
import { REDACTIONS_FILE, type Redacted, readRedactions, redactedSchema } from './redactions.ts'
import type { FileDigest } from './shard-writer.ts'

/*
 * What tells of a dataset as a whole. Both files follow from its shards and from what dataset.json says of where it came from, so that they can be made
 * again, and compared. What dataset.json says of where it came from is its exporter's word alone.
 */

export const DATASET_FILE = 'dataset.json'
export const CROISSANT_FILE = 'croissant.json'

const datasetSchema = z.strictObject({
  version: z.literal(1),
  about: aboutSchema,
  shards: z.int().nonnegative(),
  redacted: redactedSchema,
  snapshot: snapshotSchema,
  ...sumsSchema.shape,
})

/** @property redacted what was taken out since @property snapshot what was read of the clean topic */
export type Description = { about: About; redacted: Redacted; snapshot: Snapshot; sums: Sums; files: ShardFiles[] }
export type ShardFiles = { tar: FileDigest; manifest: FileDigest }

/** The text of dataset.json. */
export function datasetText({ about, redacted, snapshot, sums, files }: Description): string {
  const told: z.infer<typeof datasetSchema> = { version: 1, about, shards: files.length, redacted, snapshot, ...sums }
  return `${JSON.stringify(told, null, 2)}\n`
}

/** What of dataset.json does not follow from the shards. null where it is none. */
export function parseDataset(text: string): Pick<Description, 'about' | 'redacted' | 'snapshot'> | null {
  try {
    const parsed = datasetSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data : null
  } catch {
    return null
  }
}

/** The text of croissant.json: Croissant 1.0 (MLCommons), in JSON-LD. */
export function croissantText(description: Description): string {
  const { about, sums, files } = description
  const text = Buffer.from(datasetText(description))
  const tars = files.map(({ tar }, shard) => fileObject(tarPath(shard), 'application/x-tar', tar))
  const manifests = files.map(({ manifest }, shard) =>
    fileObject(manifestPath(shard), 'application/x-parquet', manifest),
  )
  const extensions = [...new Set(sums.mediaTypes.map(({ value }) => extensionOf(value)))].sort()
  const known = sums.licences.map(({ value }) => value).filter((value) => value !== 'unknown' && value !== 'others')
  const croissant = {
    '@context': context,
    '@type': 'sc:Dataset',
    conformsTo: 'http://mlcommons.org/croissant/1.0',
    name: about.name,
    description: `${sums.items} items that a gate has cleared, each with the receipt that it has signed for it.`,
    ...(about.url === null ? {} : { url: about.url }),
    ...(about.creator === null ? {} : { creator: { '@type': 'sc:Organization', name: about.creator } }),
    license: known.length > 0 ? known : 'unknown',
    ...(sums.signedUntil === null ? {} : { datePublished: timeText(sums.signedUntil).slice(0, 10) }),
    version: `1.${files.length}.0`,
    distribution: [
      fileObject(DATASET_FILE, 'application/json', { sha256: hash('sha256', text), size: text.length }),
      ...tars,
      ...manifests,
      {
        '@type': 'cr:FileSet',
        '@id': 'payloads',
        name: 'payloads',
        description: 'The bytes of the items, by their keys.',
        containedIn: tars.map(({ '@id': id }) => ({ '@id': id })),
        encodingFormat: sums.mediaTypes.map(({ value }) => value),
        includes: extensions.map((extension) => `*.${extension}`),
      },
      {
        '@type': 'cr:FileSet',
        '@id': 'receipts',
        name: 'receipts',
        description: 'DSSE envelopes: what the gate has signed of each item.',
        containedIn: tars.map(({ '@id': id }) => ({ '@id': id })),
        encodingFormat: 'application/json',
        includes: '*.receipt.json',
      },
      {
        '@type': 'cr:FileSet',
        '@id': 'manifests',
        name: 'manifests',
        description: 'One Parquet file a shard, one row an item.',
        encodingFormat: 'application/x-parquet',
        includes: 'manifest/*.parquet',
      },
    ],
    recordSet: [
      {
        '@type': 'cr:RecordSet',
        '@id': 'items',
        name: 'items',
        description: 'What is known of each item.',
        key: { '@id': 'items/key' },
        field: manifestColumns.map(({ name, type }) => ({
          '@type': 'cr:Field',
          '@id': `items/${name}`,
          name,
          dataType: type.startsWith('INT') ? 'sc:Integer' : 'sc:Text',
          source: { fileSet: { '@id': 'manifests' }, extract: { column: name } },
        })),
      },
      {
        '@type': 'cr:RecordSet',
        '@id': 'pictures',
        name: 'pictures',
        description: 'The bytes of each item.',
        key: { '@id': 'pictures/key' },
        field: [
          {
            '@type': 'cr:Field',
            '@id': 'pictures/key',
            name: 'key',
            dataType: 'sc:Text',
            references: { field: { '@id': 'items/key' } },
            source: {
              fileSet: { '@id': 'payloads' },
              extract: { fileProperty: 'filename' },
              transform: { regex: '^([0-9a-f]{32})\\.' },
            },
          },
          {
            '@type': 'cr:Field',
            '@id': 'pictures/content',
            name: 'content',
            dataType: 'sc:ImageObject',
            source: { fileSet: { '@id': 'payloads' }, extract: { fileProperty: 'content' } },
          },
        ],
      },
    ],
  }
  return `${JSON.stringify(croissant, null, 2)}\n`
}

function fileObject(path: string, encodingFormat: string, { sha256, size }: FileDigest) {
  return {
    '@type': 'cr:FileObject',
    '@id': path,
    name: path,
    contentUrl: path,
    contentSize: `${size} B`,
    encodingFormat,
    sha256,
  }
}

/** As the specification gives it. */
const context = {
  '@language': 'en',
  '@vocab': 'https://schema.org/',
  citeAs: 'cr:citeAs',
  column: 'cr:column',
  conformsTo: 'dct:conformsTo',
  cr: 'http://mlcommons.org/croissant/',
  rai: 'http://mlcommons.org/croissant/RAI/',
  data: { '@id': 'cr:data', '@type': '@json' },
  dataType: { '@id': 'cr:dataType', '@type': '@vocab' },
  dct: 'http://purl.org/dc/terms/',
  equivalentProperty: 'cr:equivalentProperty',
  examples: { '@id': 'cr:examples', '@type': '@json' },
  extract: 'cr:extract',
  field: 'cr:field',
  fileProperty: 'cr:fileProperty',
  fileObject: 'cr:fileObject',
  fileSet: 'cr:fileSet',
  format: 'cr:format',
  includes: 'cr:includes',
  isLiveDataset: 'cr:isLiveDataset',
  jsonPath: 'cr:jsonPath',
  key: 'cr:key',
  md5: 'cr:md5',
  parentField: 'cr:parentField',
  path: 'cr:path',
  recordSet: 'cr:recordSet',
  references: 'cr:references',
  regex: 'cr:regex',
  repeated: 'cr:repeated',
  replace: 'cr:replace',
  samplingRate: 'cr:samplingRate',
  sc: 'https://schema.org/',
  separator: 'cr:separator',
  source: 'cr:source',
  subField: 'cr:subField',
  transform: 'cr:transform',
}

/** Writes both anew, by the records of a dataset. */
export async function writeDescription(
  dataset: Dataset,
  { about, position }: Pick<Standing, 'about' | 'position'>,
): Promise<Sums> {
  const total = createSums()
  const files: ShardFiles[] = []
  for (let shard = 0; shard < dataset.shards(); shard++) {
    const { tar, manifest, sums } = await dataset.record(shard)
    total.addAll(sums)
    files.push({ tar, manifest })
  }
  const redacted = await readRedactions(join(dataset.folder, REDACTIONS_FILE), () => undefined)
  const description = { about, redacted, snapshot: position.snapshot, sums: total.sums(), files }
  await writeDurably(join(dataset.folder, CROISSANT_FILE), croissantText(description))
  await writeDurably(join(dataset.folder, DATASET_FILE), datasetText(description))
  return description.sums
}

/** Takes both away. dataset.json goes first: without it a dataset is unfinished, whatever else is there. */
export async function removeDescription({ folder }: Dataset): Promise<void> {
  for (const file of [DATASET_FILE, CROISSANT_FILE]) await rm(join(folder, file), { force: true })
}
