import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import test, { after, before } from 'node:test'
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutBucketPolicyCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { SluiceError } from '../../services/domain/errors.ts'
import { principals } from '../../services/domain/principals.ts'
import { openStore } from '../../services/platform/stores/open-store.ts'
import { createS3Store } from '../../services/platform/stores/s3-store.ts'
import { type Store, type StoreName, storeNames } from '../../services/platform/stores/store.ts'
import { policyOf, skipWithoutS3, startS3Server } from './s3-server.ts'

/** What each principal needs, and so all that it may do: `infra/stores/` as it works on a real server. */
const needed: Readonly<Record<string, Partial<Record<StoreName, readonly Act[]>>>> = {
  crawler: { intake: ['get', 'put', 'upload'] },
  gate: {
    intake: ['get', 'list'],
    clean: ['get', 'list', 'put', 'upload'],
    held: ['get', 'list', 'put', 'upload'],
    lists: ['get', 'list'],
  },
  lists: { lists: ['get', 'list', 'put', 'upload'] },
  recall: { clean: ['get', 'list', 'delete'], held: ['get', 'list', 'put', 'upload'] },
  replay: { held: ['get', 'list'] },
  review: { held: ['get', 'list'] },
  trainer: { clean: ['get', 'list'] },
  'on-call': {},
  reports: {},
  admin: {
    intake: ['list', 'uploads', 'delete'],
    clean: ['list', 'uploads', 'delete'],
    held: ['list', 'uploads', 'delete'],
  },
  anonymous: {},
}

const there = Buffer.from('an object that is there')
const key = (bytes: Buffer): string => `${hash('sha256', bytes).slice(0, 2)}/${hash('sha256', bytes)}`

const acts = {
  get: (client, Bucket) => client.send(new GetObjectCommand({ Bucket, Key: key(there) })),
  head: (client, Bucket) => client.send(new HeadObjectCommand({ Bucket, Key: key(there) })),
  list: (client, Bucket) => client.send(new ListObjectsV2Command({ Bucket })),
  uploads: (client, Bucket) => client.send(new ListMultipartUploadsCommand({ Bucket })),
  put: (client, Bucket) =>
    client.send(new PutObjectCommand({ Bucket, Key: key(made()), Body: 'made', IfNoneMatch: '*' })),
  async upload(client, Bucket) {
    const target = { Bucket, Key: key(made()) }
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(target))
    await client.send(new AbortMultipartUploadCommand({ ...target, UploadId }))
  },
  delete: (client, Bucket) => client.send(new DeleteObjectCommand({ Bucket, Key: key(made()) })),
  policy: (client, Bucket) => client.send(new GetBucketPolicyCommand({ Bucket })),
  grant: (client, Bucket) => client.send(new PutBucketPolicyCommand({ Bucket, Policy: policyOf('clean') })),
} satisfies Record<string, (client: S3Client, bucket: string) => Promise<unknown>>
type Act = keyof typeof acts

let count = 0
function made(): Buffer {
  count += 1
  return Buffer.from(`made ${count}`)
}

const skip = skipWithoutS3()
const server = skip === false ? await startS3Server({ after }) : null
function clientOf(who: string): S3Client {
  if (server === null) throw new Error('there is no S3 server')
  return server.client(who === 'anonymous' ? null : who)
}
const storeOf = (who: string, name: StoreName) =>
  createS3Store({ client: clientOf(who), bucket: `sluice-${name}`, prefix: '' }, name)

before(async () => {
  if (server === null) return
  await server.makeBuckets('sluice')
  const root = server.client()
  for (const store of storeNames) {
    await root.send(new PutObjectCommand({ Bucket: `sluice-${store}`, Key: key(there), Body: there }))
  }
})

test('every principal is in the table', () => {
  assert.deepEqual(Object.keys(needed).sort(), [...principals, 'anonymous'].sort())
})

for (const [who, stores] of Object.entries(needed)) {
  test(`${who} may do what it needs, and nothing else`, { skip }, async () => {
    const client = clientOf(who)
    for (const store of storeNames) {
      const may = new Set<string>(stores[store] ?? [])
      if (may.has('get')) may.add('head')
      for (const [act, attempt] of Object.entries(acts)) {
        const told = await attempt(client, `sluice-${store}`).then(() => 200, statusOf)
        assert.equal(told, may.has(act) ? 200 : 403, `${who}: ${act} in ${store}`)
      }
    }
    const makes = clientOf(who).send(new CreateBucketCommand({ Bucket: `of-${who}` }))
    assert.equal(await makes.then(() => 200, statusOf), 403, `${who} makes a bucket`)
  })
}

const isFault = (code: string, sentence: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === code && sentence.test(error.message)
const absent = hash('sha256', 'absent')

test('to whom may list, a bogus reference is missing; to whom may not read, a right is: never the other way round', {
  skip,
}, async () => {
  const found = hash('sha256', there)
  assert.deepEqual(await storeOf('gate', 'intake').read(found, 100), there)
  await assert.rejects(storeOf('gate', 'intake').read(absent, 100), isFault('PAYLOAD_MISSING', /./))
  assert.equal(await storeOf('gate', 'intake').has(absent), false)
  for (const [who, name] of [
    ['trainer', 'held'],
    ['crawler', 'clean'],
    ['review', 'intake'],
  ] as const) {
    const store = storeOf(who, name)
    const lacks = isFault('STORE_UNREACHABLE', new RegExp(`the ${name} store.*lacks a right.*s3:GetObject`))
    for (const sha256 of [found, absent]) {
      await assert.rejects(store.read(sha256, 100), lacks)
      await assert.rejects(store.has(sha256), lacks)
      await assert.rejects(Array.fromAsync(store.readParts(sha256)), lacks)
    }
    const lacksWriting = isFault('STORE_UNREACHABLE', /lacks a right.*s3:PutObject/)
    await assert.rejects(store.write(absent, Buffer.from('absent')), lacksWriting)
    await assert.rejects(storeOf(who, name).find(), isFault('STORE_UNREACHABLE', /s3:ListBucket/))
  }
})

test('a crawler makes what it needs of intake without seeing what else is there', { skip }, async () => {
  const intake = storeOf('crawler', 'intake')
  await intake.make()
  for (const bytes of [Buffer.from('small'), Buffer.alloc(9_000_000, 'large')]) {
    for (let times = 0; times < 2; times += 1) await intake.write(hash('sha256', bytes), bytes)
    assert.ok((await storeOf('gate', 'intake').read(hash('sha256', bytes), bytes.length)).equals(bytes))
  }
})

test('nothing is written over, and nothing is taken for kept that is not: other bytes under its name are told', {
  skip,
}, async () => {
  const bytes = Buffer.from('what belongs there')
  const sha256 = hash('sha256', bytes)
  for (const other of [Buffer.from('shorter'), Buffer.from('what belongs hree')]) {
    const target = { Bucket: 'sluice-clean', Key: key(bytes) }
    await clientOf('root').send(new PutObjectCommand({ ...target, Body: other, ChecksumAlgorithm: 'SHA256' }))
    await assert.rejects(storeOf('gate', 'clean').write(sha256, bytes), isFault('STORE_UNREACHABLE', /other bytes/))
    assert.deepEqual(await storeOf('gate', 'clean').read(sha256, 100), other)
    await clientOf('root').send(new DeleteObjectCommand(target))
  }
  const wrong = storeOf('gate', 'clean').write(absent, bytes)
  await assert.rejects(wrong, isFault('STORE_UNREACHABLE', /refuses PutObject with status 400/))
  assert.equal(await storeOf('gate', 'clean').has(absent), false, 'the server has looked at the bytes itself')
})

test('wrong credentials, none, a bucket that is not there and a server that is gone are told apart', {
  skip,
}, async () => {
  if (server === null) return
  const bucket = 'sluice-clean'
  const [stranger, nobody] = [server.client('a-stranger'), server.client(null)]
  const cases: [S3Client, string, RegExp][] = [
    [stranger, bucket, /does not accept the credentials|lacks a right/],
    [nobody, bucket, /lacks a right/],
    [clientOf('root'), 'no-such-bucket', /there is no bucket no-such-bucket/],
  ]
  for (const [client, name, sentence] of cases) {
    const store = createS3Store({ client, bucket: name, prefix: '' }, 'clean')
    await assert.rejects(store.read(absent, 100), isFault('STORE_UNREACHABLE', sentence))
    await assert.rejects(store.has(absent), isFault('STORE_UNREACHABLE', sentence))
    await assert.rejects(store.write(absent, Buffer.from('absent')), isFault('STORE_UNREACHABLE', sentence))
  }
  const store = storeOf('gate', 'clean')
  await server.kill()
  const gone = isFault('STORE_UNREACHABLE', /the clean store can't be used: its server does not answer/)
  await assert.rejects(store.read(absent, 100), gone)
  await assert.rejects(store.writeAll([{ sha256: absent, bytes: Buffer.from('absent') }]), gone)
  await server.start()
  await assert.rejects(store.read(absent, 100), isFault('PAYLOAD_MISSING', /./))
})

test('a server that answers nothing is one that is not there, after some time', { skip }, async () => {
  const client = clientOf('gate')
  const store = createS3Store({ client, bucket: 'sluice-clean', prefix: '', patienceMs: 300 }, 'clean')
  // The connection is there from now on; only the server that stands still gets so little time.
  await createS3Store({ client, bucket: 'sluice-clean', prefix: '' }, 'clean').find()
  await server?.whileStill(async () => {
    const still = isFault('STORE_UNREACHABLE', /its server does not answer/)
    await assert.rejects(store.read(absent, 100), still)
    await assert.rejects(store.write(absent, Buffer.from('absent')), still)
    await assert.rejects(store.writeParts(absent, [Buffer.alloc(9_000_000)]), still)
  })
  // What was begun may yet be done; whatever it is, it is whole.
  const never = hash('sha256', 'never written')
  await assert.rejects(storeOf('gate', 'clean').read(never, 100), isFault('PAYLOAD_MISSING', /./))
})

test('what is refused for its length holds on to no connection', { skip }, async () => {
  const bytes = Buffer.alloc(8_000_000, 'long')
  await storeOf('gate', 'clean').write(hash('sha256', bytes), bytes)
  const store = await openAsGate()
  // More than there are connections.
  for (let times = 0; times < 80; times += 1) {
    await assert.rejects(store.read(hash('sha256', bytes), 10), isFault('PAYLOAD_TOO_LARGE', /allowed are 10/))
  }
  assert.equal((await store.read(hash('sha256', bytes), bytes.length)).length, bytes.length)
})

/** As a gate opens its stores: by settings, a profile and nothing else. */
async function openAsGate(): Promise<Store> {
  const environment = server?.environment('gate') ?? {}
  Object.assign(process.env, environment)
  return await openStore({ stores: 's3://sluice', s3Endpoint: environment.SLUICE_S3_ENDPOINT ?? null }, 'clean')
}

function statusOf(error: unknown): number {
  const metadata: unknown = Reflect.get(Object(error), '$metadata')
  return Number(Reflect.get(Object(metadata), 'httpStatusCode'))
}
