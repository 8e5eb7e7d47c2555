import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { promisify } from 'node:util'
import { z } from 'zod'
import { openBench } from '../integration/harness.ts'
import { photograph, sha256, tinyPicture } from '../integration/items.ts'
import { readTopics, skipWithoutPython } from './foreign.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../..')
const bin = (name: string) => join(root, 'node_modules/.bin', name)

/** What is this checkout's, or the test runner's. All else stays: a machine may say there how npm gets out. */
const own = /^(SLUICE_|NODE_(TEST|OPTIONS|COMPILE_CACHE|V8_COVERAGE))/
/** npm of the machine, on the Node that these tests run on; it knows the crawler's folder and nothing of this checkout. */
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name))),
  PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH}`,
}
const INSTALL_MS = 300_000

async function installPackage(folder: string): Promise<void> {
  await run('npm', ['pack', '--pack-destination', folder], { cwd: root, env: environment })
  await writeFile(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const words = ['install', '--prefer-offline', '--no-audit', '--no-fund', './sluice-0.1.0.tgz']
  await run('npm', words, { cwd: folder, env: environment, timeout: INSTALL_MS })
}

/** The program that a README shows, compiled as strictly as there is. @param name of its file @returns the compiled one's path */
async function compileExample(folder: string, readme: string, name: string): Promise<string> {
  const page = await readFile(join(root, readme), 'utf8')
  const [, program] = /```ts\n(.*?)```/s.exec(page) ?? []
  assert.ok(program)
  await writeFile(join(folder, `${name}.ts`), program)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    skipLibCheck: false,
    types: ['node'],
  }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [`${name}.ts`] }))
  await run(bin('tsc'), ['-p', folder]).catch(({ stdout }) => assert.fail(stdout))
  return join(folder, `${name}.js`)
}

/** A server of pictures, one of them behind two redirects, and one that is gone. */
async function servePictures(t: TestContext, pictures: Readonly<Record<string, Buffer>>): Promise<string> {
  const server = createServer((request, response) => {
    const picture = pictures[request.url ?? '']
    if (request.url === '/old.png') response.writeHead(301, { location: '/older.png' }).end('moved')
    else if (request.url === '/older.png') response.writeHead(302, { location: '/small.png' }).end()
    else if (picture === undefined) response.writeHead(404).end('gone')
    else response.writeHead(200, { 'content-type': 'image/png', etag: '"1"', 'x-robots-tag': 'noai' }).end(picture)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const envelopeRecord = z.object({
  envelope: z.object({
    item: z.object({ id: z.string() }),
    payload: z.object({ sha256: z.string(), reference: z.string().nullable() }),
    acquisition: z.record(z.string(), z.unknown()).nullable(),
    origin: z.record(z.string(), z.unknown()).nullable(),
    rights: z.object({ robots: z.string().nullable() }).nullable(),
    extra: z.record(z.string(), z.string()),
  }),
})

test('the package installs into an empty folder; the crawler of the README compiles there, runs, and the gate has its items', {
  skip: skipWithoutPython(),
}, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-package-'))
  t.after(() => rm(folder, { recursive: true }))
  const [bench] = await Promise.all([openBench(t, { partitions: 2 }), installPackage(folder)])
  await bench.importList('stand-in', [{ sha256: '0'.repeat(64) }])

  const [small, large] = [await tinyPicture(1), photograph('nagasaki-boats')]
  assert.ok(large.length > bench.settings.inlineBytes)
  const site = await servePictures(t, { '/small.png': small, '/large.jpg': large })
  const words = [
    await compileExample(folder, 'services/crawl/README.md', 'crawler'),
    'https://gallery.example.org/boats',
  ]
  const urls = ['/old.png', '/large.jpg', '/gone.png'].map((path) => site + path)
  await run(process.execPath, [...words, ...urls], {
    cwd: folder,
    env: {
      ...environment,
      BROKERS: bench.settings.brokers.join(','),
      REGISTRY: bench.settings.registry,
      STORES: bench.settings.stores,
      PREFIX: bench.settings.prefix,
      SLUICE_KAFKA_USERS: bench.environment.SLUICE_KAFKA_USERS,
    },
  })

  const shelf = await mkdtemp(join(folder, 'shelf-'))
  await writeFile(join(shelf, 'picture.png'), await tinyPicture(2))
  const sluice = (...words: string[]) =>
    run('npx', ['--no-install', 'sluice', ...words], { cwd: folder, env: { ...environment, ...bench.environment } })
  assert.match((await sluice('--help')).stdout, /^Usage: sluice /)
  const { stdout } = await sluice('crawl', 'folder', shelf, '--json')
  assert.equal(JSON.parse(stdout).published, 1)
  // The gate of the package, on the Node of the package: its scanners, threads and kernels are found where npm put them.
  await sluice('gate', '--until-caught-up')

  // The training job of the README, once for what there is, and once more for what came since: nothing.
  const job = await compileExample(folder, 'services/train/README.md', 'job')
  const train = async (): Promise<string[]> => {
    const own = { STORES: bench.settings.stores, PREFIX: bench.settings.prefix, KEYRING: bench.settings.keyring }
    const cluster = { BROKERS: bench.settings.brokers.join(','), REGISTRY: bench.settings.registry }
    const { SLUICE_KAFKA_USERS } = bench.environment
    const env = { ...environment, ...own, ...cluster, SLUICE_KAFKA_USERS }
    return (await run(process.execPath, [job], { cwd: folder, env })).stdout.split('\n').filter(Boolean)
  }
  const handed = await train()
  assert.equal(handed.length, 3)
  assert.ok(
    handed.some((line) => line.endsWith(`: image/jpeg, ${large.length} bytes, licence unknown`)),
    handed.join('\n'),
  )
  assert.deepEqual(await train(), [])

  const { records } = await readTopics(bench.settings, [bench.topic('gate.envelopes'), bench.topic('gate.clean')])
  const clean = records.filter(({ topic }) => topic === bench.topic('gate.clean'))
  assert.equal(clean.length, 3)
  const envelopes = records
    .filter(({ topic }) => topic === bench.topic('gate.envelopes'))
    .map(({ value }) => envelopeRecord.parse(value).envelope)
  const bySha256 = new Map(envelopes.map((envelope) => [envelope.payload.sha256, envelope]))
  const crawled = bySha256.get(sha256(small))
  assert.equal(crawled?.acquisition?.requestedUrl, `${site}/old.png`)
  assert.deepEqual(crawled?.acquisition?.redirects, [`${site}/older.png`])
  assert.equal(crawled?.acquisition?.finalUrl, `${site}/small.png`)
  assert.deepEqual(crawled?.acquisition?.responseHeaders, [
    { name: 'content-type', value: 'image/png' },
    { name: 'etag', value: '"1"' },
    { name: 'x-robots-tag', value: 'noai' },
  ])
  assert.equal(crawled?.origin?.pageUrl, 'https://gallery.example.org/boats')
  assert.equal(crawled?.rights?.robots, 'noai')
  assert.deepEqual(crawled?.extra, {})
  assert.equal(bySha256.get(sha256(large))?.payload.reference, sha256(large))
})
