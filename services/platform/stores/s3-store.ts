import { createHash } from 'node:crypto'
import { addAbortSignal, Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import pLimit from 'p-limit'
import { SluiceError } from '../../domain/errors.ts'
import { nameOf, type S3Request, statusOf, storeError } from './s3-errors.ts'
import {
  checkReference,
  type Draft,
  isReference,
  type ListedObject,
  type Store,
  type StoreName,
  YOUNG_MS,
} from './store.ts'

/*
 * Keys are `ab/abcd...`, as files lie in a folder: the pages of a listing come in the order of names, and a server that keeps objects in folders has
 * none with millions of files. An object is made by one conditional request, so it appears whole, once, and is never overwritten: but by itself, when it is
 * old and wanted once more, on condition that it is still there.
 */

/** What is longer comes and goes in parts of so many bytes. S3 takes 10,000 of them, the least is 5 MiB. */
const PART_BYTES = 8_388_608
const AT_ONCE = 16
/** One request with its repetitions; with a part's bytes too. */
const PATIENCE_MS = 60_000
/** How often something is tried that another writer was in the way of. */
const ATTEMPTS = 3

/**
 * @property prefix of all keys, without a slash at its end; empty: none
 * @property patienceMs a server that has not answered by then is not there
 */
export type S3Place = { client: S3Client; bucket: string; prefix: string; patienceMs?: number }

/** A store in a bucket of any server that speaks S3 and takes conditional writes. */
export function createS3Store({ client, bucket, prefix, patienceMs = PATIENCE_MS }: S3Place, name: StoreName): Store {
  const limit = pLimit(AT_ONCE)
  const top = prefix === '' ? '' : `${prefix}/`

  function keyOf(sha256: string): { Bucket: string; Key: string } {
    checkReference(sha256)
    return { Bucket: bucket, Key: `${top}${sha256.slice(0, 2)}/${sha256}` }
  }

  /** @throws {SluiceError} STORE_UNREACHABLE; what `expected` says of an error instead, where it says something */
  async function ask<Answer>(
    request: S3Request,
    work: (options: Options) => Promise<Answer>,
    expected: (error: unknown) => Answer | null = () => null,
  ): Promise<Answer> {
    try {
      return await work({ abortSignal: AbortSignal.timeout(patienceMs) })
    } catch (error) {
      if (error instanceof SluiceError) throw error
      const answer = expected(error)
      if (answer !== null) return answer
      throw storeError(`the ${name} store`, bucket, request, error)
    }
  }

  async function put(sha256: string, bytes: Uint8Array): Promise<void> {
    const object = { ...keyOf(sha256), Body: bytes, ChecksumSHA256: checksumOf(sha256) }
    await makeObject(sha256, bytes.length, 'PutObject', (condition, options) =>
      client.send(new PutObjectCommand({ ...object, ...condition }), options),
    )
  }

  /**
   * Has an object made where there is none, and an old one made young again.
   * @param work one conditional request
   */
  async function makeObject(
    sha256: string,
    length: number,
    request: 'PutObject' | 'CompleteMultipartUpload',
    work: (condition: { IfNoneMatch: '*' } | { IfMatch: string }, options: Options) => Promise<unknown>,
  ): Promise<'made' | 'found'> {
    let condition: { IfNoneMatch: '*' } | { IfMatch: string } = { IfNoneMatch: '*' }
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const made = await ask<boolean>(
        request,
        async (options) => {
          await work(condition, options)
          return true
        },
        falseWhenInTheWay,
      )
      if (made) return 'made'
      const found = await findWhole(sha256, length)
      if (found !== null && !isOld(found)) return 'found'
      condition = found?.ETag === undefined ? { IfNoneMatch: '*' } : { IfMatch: found.ETag }
    }
    throw storeError(`the ${name} store`, bucket, request, new Error('other writers are in the way'))
  }

  /**
   * What lies under a name, where it can be what belongs there: nothing else is written over, so nothing may be said to be kept where it is not.
   * @throws {SluiceError} STORE_UNREACHABLE where it can't
   */
  async function findWhole(sha256: string, length: number): Promise<HeadObjectCommandOutput | null> {
    const found = await head(sha256)
    if (found === null) return null
    const whole = found.ChecksumType === 'COMPOSITE' ? undefined : found.ChecksumSHA256
    if (found.ContentLength === length && (whole === undefined || whole === checksumOf(sha256))) return found
    throw new SluiceError(
      'STORE_UNREACHABLE',
      `the ${name} store can't be used: bucket ${bucket} has other bytes under an object's name; who else writes there?`,
    )
  }

  async function head(sha256: string): Promise<HeadObjectCommandOutput | null> {
    const target = keyOf(sha256)
    const { found } = await ask<{ found: HeadObjectCommandOutput | null }>(
      'HeadObject',
      async (options) => ({
        found: await client.send(new HeadObjectCommand({ ...target, ChecksumMode: 'ENABLED' }), options),
      }),
      (error) => (statusOf(error) === 404 ? { found: null } : null),
    )
    // The answer to a question without a body does not say whether object or bucket is missing.
    if (found === null) await findBucket()
    return found
  }

  async function findBucket(): Promise<void> {
    await ask('HeadBucket', (options) => client.send(new HeadBucketCommand({ Bucket: bucket }), options))
  }

  /**
   * Uploads parts; what they make appears only where its sha256 is `wanted`. In memory is one part at a time.
   * @returns the sha256 that was found, and whether there is an object of that name now
   */
  async function upload(
    wanted: string,
    parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  ): Promise<{ sha256: string; kept: boolean }> {
    const target = keyOf(wanted)
    const digest = createHash('sha256')
    const done: CompletedPart[] = []
    let id: string | null = null
    let length = 0
    try {
      for await (const Body of ofEqualLength(parts, PART_BYTES)) {
        digest.update(Body)
        length += Body.length
        if (id === null && Body.length < PART_BYTES) {
          const sha256 = digest.digest('hex')
          if (sha256 === wanted) await put(sha256, Body)
          return { sha256, kept: sha256 === wanted }
        }
        if (Body.length === 0) break
        id ??= await begin(target)
        const part = { ...target, UploadId: id, PartNumber: done.length + 1 }
        const { ETag, ChecksumCRC32 } = await ask('UploadPart', (options) =>
          client.send(new UploadPartCommand({ ...part, Body, ChecksumAlgorithm: 'CRC32' }), options),
        )
        done.push({ PartNumber: part.PartNumber, ETag, ChecksumCRC32 })
      }
      const sha256 = digest.digest('hex')
      if (id !== null && sha256 === wanted) {
        await complete(target, id, done, length, sha256)
        id = null
      }
      return { sha256, kept: sha256 === wanted }
    } finally {
      // Where it can't be taken away either, a draft is nobody's object.
      if (id !== null) await abandon(target.Key, id).catch(() => undefined)
    }
  }

  async function begin(target: { Bucket: string; Key: string }): Promise<string> {
    const { UploadId } = await ask('CreateMultipartUpload', (options) =>
      client.send(new CreateMultipartUploadCommand({ ...target, ChecksumAlgorithm: 'CRC32' }), options),
    )
    return UploadId ?? ''
  }

  async function complete(
    target: { Bucket: string; Key: string },
    id: string,
    Parts: CompletedPart[],
    length: number,
    sha256: string,
  ): Promise<void> {
    const request = { ...target, UploadId: id, MultipartUpload: { Parts } }
    const how = await makeObject(sha256, length, 'CompleteMultipartUpload', (condition, options) =>
      client.send(new CompleteMultipartUploadCommand({ ...request, ...condition }), options),
    )
    if (how === 'found') await abandon(target.Key, id).catch(() => undefined)
  }

  async function abandon(key: string, id: string): Promise<void> {
    await ask<unknown>(
      'AbortMultipartUpload',
      (options) => client.send(new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: id }), options),
      (error) => (nameOf(error) === 'NoSuchUpload' ? {} : null),
    )
  }

  /**
   * Some bytes of an object; all of it where `range` is null.
   * @param etag of the object that they are a part of
   */
  function get(sha256: string, range: string | null, etag: string | undefined, most: number): Promise<Part> {
    return ask<Part>(
      'GetObject',
      async (options) => {
        const part = { ...(range === null ? {} : { Range: range }), ...(etag === undefined ? {} : { IfMatch: etag }) }
        const answer = await client.send(new GetObjectCommand({ ...keyOf(sha256), ...part }), options)
        const body = bodyOf(answer)
        const total = Number(/\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1] ?? answer.ContentLength)
        if (total > most) {
          body.destroy()
          throw new SluiceError('PAYLOAD_TOO_LARGE', `the object has ${total} bytes, allowed are ${most}`)
        }
        addAbortSignal(options.abortSignal, body)
        return { bytes: await collect(body, answer.ContentLength ?? 0), total, etag: answer.ETag }
      },
      (error) => {
        if (nameOf(error) === 'NoSuchKey') throw new SluiceError('PAYLOAD_MISSING', undefined, { cause: error })
        // No bytes of an empty object are there to be asked for.
        return nameOf(error) === 'InvalidRange' ? { bytes: Buffer.alloc(0), total: 0, etag: undefined } : null
      },
    )
  }

  async function* readParts(sha256: string, most = Number.POSITIVE_INFINITY): AsyncGenerator<Uint8Array> {
    let etag: string | undefined
    for (let from = 0, total = 1; from < total; ) {
      const part = await get(sha256, `bytes=${from}-${from + PART_BYTES - 1}`, etag, most)
      if (part.bytes.length > 0) yield part.bytes
      total = part.total
      etag = part.etag
      from += PART_BYTES
    }
  }

  async function remove(sha256: string): Promise<void> {
    const target = keyOf(sha256)
    await ask('DeleteObject', (options) => client.send(new DeleteObjectCommand(target), options))
  }

  async function write(sha256: string, bytes: Uint8Array): Promise<void> {
    if (bytes.length <= PART_BYTES) return put(sha256, bytes)
    const found = await upload(sha256, [bytes])
    if (!found.kept) throw mismatch()
  }

  return {
    name,
    find: findBucket,
    write,
    readParts,

    async make() {
      const isMissing = await ask<boolean>(
        'HeadBucket',
        async (options) => {
          await client.send(new HeadBucketCommand({ Bucket: bucket }), options)
          return false
        },
        (error) => {
          if (statusOf(error) === 404) return true
          // Who may write only is not told what is there; writing tells.
          return statusOf(error) === 403 ? false : null
        },
      )
      if (!isMissing) return
      await ask<unknown>(
        'CreateBucket',
        (options) => client.send(new CreateBucketCommand({ Bucket: bucket }), options),
        (error) => (nameOf(error) === 'BucketAlreadyOwnedByYou' ? {} : null),
      )
    },

    async writeAll(objects) {
      const failed = new AbortController()
      const errors: unknown[] = []
      await limit.map(objects, async ({ sha256, bytes }) => {
        if (failed.signal.aborted) return
        try {
          await write(sha256, bytes)
        } catch (error) {
          errors.push(error)
          failed.abort()
        }
      })
      if (errors.length > 0) throw errors[0]
    },

    async writeParts(sha256, parts) {
      const found = await upload(sha256, parts)
      if (!found.kept) throw mismatch()
    },

    async copy(from, sha256, most) {
      let wanted = sha256
      for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
        const found = await upload(wanted, from.readParts(sha256, most))
        if (found.kept) return found.sha256
        // It is not called there what it should be: once more, under the name that it deserves.
        wanted = found.sha256
      }
      const sentence = `the ${from.name} store can't be read: what is copied from it to ${name} changes meanwhile`
      throw new SluiceError('STORE_UNREACHABLE', sentence)
    },

    async read(sha256, most) {
      return (await get(sha256, null, undefined, most)).bytes
    },

    remove,

    async removeOld(sha256, before) {
      const { Bucket, Key } = keyOf(sha256)
      // Not asked of the object itself: who only clears away has no right to get one.
      const { Contents } = await ask('ListObjectsV2', (options) =>
        client.send(new ListObjectsV2Command({ Bucket, Prefix: Key, MaxKeys: 1 }), options),
      )
      const found = Contents?.find((each) => each.Key === Key)?.LastModified
      if (found === undefined || found.getTime() >= before) return false
      await remove(sha256)
      return true
    },

    async has(sha256) {
      return (await head(sha256)) !== null
    },

    async *list() {
      for (let token: string | undefined, more = true; more; ) {
        const page = await ask('ListObjectsV2', (options) =>
          client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: top, ContinuationToken: token }), options),
        )
        yield (page.Contents ?? []).flatMap(({ Key = '', Size = 0, LastModified }): ListedObject[] => {
          const sha256 = Key.slice(top.length + 3)
          const isOurs = isReference(sha256) && keyOf(sha256).Key === Key && LastModified !== undefined
          return isOurs ? [{ sha256, bytes: Size, writtenAt: LastModified.getTime() }] : []
        })
        token = page.NextContinuationToken
        more = page.IsTruncated === true && token !== undefined
      }
    },

    async *drafts() {
      let after: { KeyMarker?: string | undefined; UploadIdMarker?: string | undefined } = {}
      for (let more = true; more; ) {
        const page = await ask('ListMultipartUploads', (options) =>
          client.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: top, ...after }), options),
        )
        yield (page.Uploads ?? []).flatMap(({ Key, UploadId, Initiated }): Draft[] => {
          if (Key === undefined || UploadId === undefined || Initiated === undefined) return []
          return [{ begunAt: Initiated.getTime(), bytes: null, abandon: () => abandon(Key, UploadId) }]
        })
        after = { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }
        more = page.IsTruncated === true && page.NextKeyMarker !== undefined
      }
    },
  }
}

type Options = { abortSignal: AbortSignal }
type Part = { bytes: Buffer; total: number; etag: string | undefined }

/**
 * What a conditional write meets: an object of that name, or none any more (412, 404), another writer (409); or an upload whose end was told in an
 * answer that was lost.
 */
function falseWhenInTheWay(error: unknown): false | null {
  const isMet = statusOf(error) === 412 || statusOf(error) === 409
  return isMet || nameOf(error) === 'NoSuchUpload' || nameOf(error) === 'NoSuchKey' ? false : null
}

function isOld({ LastModified }: HeadObjectCommandOutput): boolean {
  return LastModified !== undefined && LastModified.getTime() < Date.now() - YOUNG_MS
}

function checksumOf(sha256: string): string {
  return Buffer.from(sha256, 'hex').toString('base64')
}

function mismatch(): SluiceError {
  return new SluiceError('DIGEST_MISMATCH', 'the parts do not make what they should')
}

function bodyOf({ Body }: GetObjectCommandOutput): Readable {
  if (!(Body instanceof Readable)) throw new Error('an answer without a body')
  return Body
}

/** @throws {Error} when the connection breaks off before all is there */
async function collect(body: Readable, length: number): Promise<Buffer> {
  // Not of the shared pool: it may be handed to a thread.
  const bytes = Buffer.allocUnsafeSlow(length)
  let filled = 0
  for await (const chunk of body) {
    const part: Buffer = chunk
    filled += part.copy(bytes, filled)
  }
  if (filled !== length) throw new Error('the answer breaks off')
  return bytes
}

/** The same bytes in parts of equal length; the last one is shorter, and empty where there would be none. */
async function* ofEqualLength(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  length: number,
): AsyncGenerator<Buffer> {
  let part = Buffer.allocUnsafeSlow(length)
  let filled = 0
  for await (const bytes of parts) {
    for (let from = 0; from < bytes.length; ) {
      const some = bytes.subarray(from, from + length - filled)
      part.set(some, filled)
      filled += some.length
      from += some.length
      if (filled < length) continue
      yield part
      part = Buffer.allocUnsafeSlow(length)
      filled = 0
    }
  }
  yield part.subarray(0, filled)
}
