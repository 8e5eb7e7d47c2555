import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateBucketCommand, PutBucketPolicyCommand, S3Client } from '@aws-sdk/client-s3'
import { freePort } from '../../services/cluster/stack/free-port.ts'
import { principals } from '../../services/domain/principals.ts'
import { type StoreName, storeNames } from '../../services/platform/stores/store.ts'
import type { Scope } from './harness.ts'
import { endWithThisProcess } from './leftovers.ts'
import { waitFor } from './waiting.ts'

/** Installed by `infra/setup.sh test`. */
const PROGRAM = join(import.meta.dirname, '../../.sluice/versitygw/versitygw')
const REGION = 'us-east-1'
/** May do everything, and owns what it makes. */
const ROOT = 'root'

/** A real S3 server of this process's own: versitygw, with its objects in a temporary folder. */
export type S3Server = {
  url: string
  /** where the server keeps objects: a folder a bucket */
  folder: string
  /** settings by which a child process is this user: a profile in a file, as people have them */
  environment(user?: string): Record<string, string>
  /** Makes the four buckets of a name, as `infra/stores` says who may do what with them. */
  makeBuckets(name: string): Promise<void>
  /** A client of somebody; null: of nobody. It ends with the server. */
  client(user?: string | null): S3Client
  /** Ends it at once, as a power cut would. */
  kill(): Promise<void>
  /** Has it hold still, with all its connections open, while `work` is done. */
  whileStill(work: () => Promise<void>): Promise<void>
  /** Starts it again after that, on the same port, with the same objects. */
  start(): Promise<void>
}

/** False, or why a test with an S3 server is left out. @throws {Error} in CI, where none may be */
export function skipWithoutS3(): string | false {
  if (existsSync(PROGRAM)) return false
  const sentence = 'there is no versitygw, so no S3 server checks this: install Go and run `infra/setup.sh test`'
  if (process.env.CI) throw new Error(sentence)
  return sentence
}

/** The policy of a store as it is shipped, for the buckets of a name. */
export function policyOf(store: StoreName, name = 'sluice'): string {
  const text = readFileSync(join(import.meta.dirname, `../../infra/stores/${store}.json`), 'utf8')
  return text.replaceAll('sluice-', `${name}-`)
}

/** Starts a server that ends with `scope`, or with this process; it knows all principals, none of whom may do anything by itself, and its root. */
export async function startS3Server(scope: Pick<Scope, 'after'>): Promise<S3Server> {
  const home = await mkdtemp(join(tmpdir(), 'sluice-s3-'))
  const folder = join(home, 'buckets')
  const profiles = join(home, 'credentials')
  const secrets = new Map([ROOT, ...principals].map((user) => [user, randomBytes(20).toString('hex')]))
  const accounts = principals.map((access) => [access, { access, secret: secrets.get(access), role: 'user' }])
  await mkdir(folder)
  await mkdir(join(home, 'iam'))
  await writeFile(join(home, 'iam/users.json'), JSON.stringify({ accessAccounts: Object.fromEntries(accounts) }))
  const profileOf = ([user, secret]: [string, string]): string =>
    `[${user}]\naws_access_key_id = ${user}\naws_secret_access_key = ${secret}\n`
  await writeFile(profiles, [...secrets].map(profileOf).join(''), { mode: 0o600 })

  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const words = [
    '--port',
    `127.0.0.1:${port}`,
    '--region',
    REGION,
    '--iam-dir',
    join(home, 'iam'),
    '--iam-cache-disable',
  ]
  const clients: S3Client[] = []
  let child: ChildProcess | null = null

  async function start(): Promise<void> {
    const started = spawn(PROGRAM, [...words, '--health', '/health', '--keep-alive', '--quiet', 'posix', folder], {
      env: { PATH: process.env.PATH, ROOT_ACCESS_KEY: ROOT, ROOT_SECRET_KEY: secrets.get(ROOT) },
      stdio: 'ignore',
    })
    child = started
    started.once(
      'exit',
      endWithThisProcess(() => started.kill('SIGKILL')),
    )
    await waitFor(
      'the S3 server answers',
      async () => {
        if (started.exitCode !== null) throw new Error(`the S3 server ended with ${started.exitCode}`)
        return (await fetch(`${url}/health`).catch(() => null))?.ok
      },
      { everyMs: 20 },
    )
  }

  async function kill(): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  }

  function clientOf(user: string | null): S3Client {
    const credentials = { accessKeyId: user ?? 'nobody', secretAccessKey: secrets.get(user ?? '') ?? 'none' }
    const client = new S3Client({
      endpoint: url,
      region: REGION,
      forcePathStyle: true,
      maxAttempts: 2,
      credentials,
      // Without a signature, where it is nobody's.
      ...(user === null ? { signer: { sign: async (request) => request } } : {}),
    })
    clients.push(client)
    return client
  }

  scope.after(async () => {
    for (const client of clients) client.destroy()
    await kill()
    await rm(home, { recursive: true, force: true, maxRetries: 10 })
  })
  await start()

  return {
    url,
    folder,
    environment: (user = ROOT) => ({
      SLUICE_S3_ENDPOINT: url,
      AWS_SHARED_CREDENTIALS_FILE: profiles,
      AWS_CONFIG_FILE: profiles,
      AWS_PROFILE: user,
      AWS_REGION: REGION,
      AWS_EC2_METADATA_DISABLED: 'true',
    }),
    client: (user = ROOT) => clientOf(user),
    async makeBuckets(name) {
      const root = clientOf(ROOT)
      for (const store of storeNames) {
        const Bucket = `${name}-${store}`
        await root.send(new CreateBucketCommand({ Bucket }))
        await root.send(new PutBucketPolicyCommand({ Bucket, Policy: policyOf(store, name) }))
      }
    },
    async whileStill(work) {
      child?.kill('SIGSTOP')
      try {
        await work()
      } finally {
        child?.kill('SIGCONT')
      }
    },
    kill,
    start,
  }
}
