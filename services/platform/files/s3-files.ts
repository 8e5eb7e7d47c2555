import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { SluiceError } from '../../domain/errors.ts'
import { s3Endpoint } from '../settings.ts'
import { createS3Client } from '../stores/s3-client.ts'
import { type S3Request, statusOf, storeError } from '../stores/s3-errors.ts'
import type { FileStatus, OpenFile } from './file.ts'

/** Read at a time: enough that a distant server's answers are not waited for most of the time. */
const BLOCK_BYTES = 8_388_608
const PATIENCE_MS = 60_000

/** Its connections are shared by all that is read. */
let shared: S3Client | null = null
function client(): S3Client {
  shared ??= createS3Client(s3Endpoint())
  return shared
}

type Place = { Bucket: string; Key: string }

/** @throws {SluiceError} USAGE */
function placeOf(name: string): Place {
  const [, Bucket, Key = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/s.exec(name) ?? []
  if (Bucket === undefined) throw new SluiceError('USAGE', `${name}: expected s3://BUCKET/KEY`)
  return { Bucket, Key }
}

/** An object, or a folder where keys begin with its name and a slash. */
export async function objectStatus(name: string): Promise<FileStatus | null> {
  const place = placeOf(name)
  const object = place.Key === '' || place.Key.endsWith('/') ? null : await head(place)
  if (object !== null) return { kind: 'file', ...object, identity: `${object.size} ${object.etag}` }
  const Prefix = prefixOf(place)
  const { KeyCount } = await ask(place, 'ListObjectsV2', (options) =>
    client().send(new ListObjectsV2Command({ Bucket: place.Bucket, Prefix, MaxKeys: 1 }), options),
  )
  return (KeyCount ?? 0) > 0 ? { kind: 'folder', size: 0, identity: '' } : null
}

/** All objects below a folder, in the order of their names. @returns their paths below it, with / between names */
export async function* objectsBelow(folder: string): AsyncGenerator<string> {
  const place = placeOf(folder)
  const Prefix = prefixOf(place)
  for (let token: string | undefined, more = true; more; ) {
    const page = await ask(place, 'ListObjectsV2', (options) =>
      client().send(new ListObjectsV2Command({ Bucket: place.Bucket, Prefix, ContinuationToken: token }), options),
    )
    for (const { Key = '' } of page.Contents ?? []) {
      const path = Key.slice(Prefix.length)
      if (path !== '' && !path.endsWith('/')) yield path
    }
    token = page.NextContinuationToken
    more = page.IsTruncated === true && token !== undefined
  }
}

/** Names directly in a folder, of objects and of further folders. */
export async function namesInBucket(folder: string): Promise<string[]> {
  const place = placeOf(folder)
  const Prefix = prefixOf(place)
  const names: string[] = []
  for (let token: string | undefined, more = true; more; ) {
    const request = { Bucket: place.Bucket, Prefix, Delimiter: '/', ContinuationToken: token }
    const page = await ask(place, 'ListObjectsV2', (options) =>
      client().send(new ListObjectsV2Command(request), options),
    )
    const objects = (page.Contents ?? []).map(({ Key = '' }) => Key.slice(Prefix.length))
    const folders = (page.CommonPrefixes ?? []).map(({ Prefix: inner = '' }) => inner.slice(Prefix.length, -1))
    names.push(...objects, ...folders)
    token = page.NextContinuationToken
    more = page.IsTruncated === true && token !== undefined
  }
  return names.filter((name) => name !== '')
}

function prefixOf({ Key }: Place): string {
  return Key === '' ? '' : `${Key.replace(/\/+$/, '')}/`
}

/** An object that is read block by block, the last one of which is kept. */
export async function openObject(name: string): Promise<OpenFile> {
  const place = placeOf(name)
  const object = await head(place)
  if (object === null) throw await noSuchObject(place)
  const { size, etag } = object
  let block: { from: number; bytes: Buffer } | null = null
  return {
    size,
    async read(into, offset, length, position) {
      if (position >= size || length === 0) return { bytesRead: 0 }
      if (block === null || position < block.from || position >= block.from + block.bytes.length) {
        block = { from: position, bytes: await readBlock(place, position, etag) }
      }
      const at = position - block.from
      return { bytesRead: block.bytes.copy(into, offset, at, at + length) }
    },
    close() {
      block = null
      return Promise.resolve()
    },
  }
}

/** The bytes of an object, a block at a time. */
export async function* bytesOfObject(name: string): AsyncGenerator<Buffer> {
  const place = placeOf(name)
  const object = await head(place)
  if (object === null) throw await noSuchObject(place)
  for (let from = 0; from < object.size; from += BLOCK_BYTES) yield await readBlock(place, from, object.etag)
}

async function head(place: Place): Promise<{ size: number; etag: string | undefined } | null> {
  return await ask(place, 'HeadObject', async (options) => {
    try {
      const { ContentLength = 0, ETag } = await client().send(new HeadObjectCommand(place), options)
      return { size: ContentLength, etag: ETag }
    } catch (error) {
      if (statusOf(error) === 404) return null
      throw error
    }
  })
}

async function readBlock(place: Place, from: number, IfMatch: string | undefined): Promise<Buffer> {
  const part = { ...place, Range: `bytes=${from}-${from + BLOCK_BYTES - 1}`, IfMatch }
  return await ask(place, 'GetObject', async (options) => {
    const { Body } = await client().send(new GetObjectCommand(part), options)
    if (!(Body instanceof Readable)) throw new Error('an answer without a body')
    return await buffer(Body)
  })
}

async function ask<Answer>(
  { Bucket }: Place,
  request: S3Request,
  work: (options: { abortSignal: AbortSignal }) => Promise<Answer>,
): Promise<Answer> {
  try {
    return await work({ abortSignal: AbortSignal.timeout(PATIENCE_MS) })
  } catch (error) {
    if (statusOf(error) === 412) {
      throw new SluiceError('USAGE', `bucket ${Bucket}: an object was replaced while it was read; call this again`)
    }
    throw storeError(`bucket ${Bucket}`, Bucket, request, error)
  }
}

/** As the system says it of a file, where the bucket at least is there. */
async function noSuchObject(place: Place): Promise<Error> {
  const { Bucket } = place
  await ask(place, 'ListObjectsV2', (options) =>
    client().send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }), options),
  )
  return Object.assign(new Error(`no such object in bucket ${Bucket}`), { code: 'ENOENT', syscall: 'open' })
}
