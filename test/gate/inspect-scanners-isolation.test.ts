import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type Launcher, launchers } from '../../services/gate/inspect/launcher.ts'
import { createScanners } from '../../services/gate/inspect/scanners.ts'
import { createFileStore } from '../../services/platform/stores/file-store.ts'
import { waitFor } from '../integration/waiting.ts'
import { clouds, generous } from './inspect-made.ts'

const memoryBytes = 600 * 1024 ** 2
const probe = fileURLToPath(new URL('inspect-probe.ts', import.meta.url))
const hostile = fileURLToPath(new URL('inspect-hostile-scanner.ts', import.meta.url))
const scannersModule = new URL('../../services/gate/inspect/scanners.ts', import.meta.url).href
const isRoot = process.platform === 'linux' && process.getuid?.() === 0

/** Runs a command to its end. @returns what it wrote on stdout */
async function run([command = '', ...words]: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(command, words, { cwd: '/', env, stdio: ['ignore', 'pipe', 'inherit'] })
  const pieces: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => pieces.push(piece))
  await once(child, 'close')
  return Buffer.concat(pieces).toString()
}

/** A folder for a test. */
function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  chmodSync(path, 0o755)
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** The best way that this machine allows, as a gate would find it out. */
async function best(t: TestContext): Promise<Launcher> {
  const scanners = createScanners({ size: 1, memoryBytes, onRestart: () => undefined })
  t.after(() => scanners.close())
  const isolation = await scanners.prepare()
  const found = launchers(memoryBytes).find((one) => JSON.stringify(one.isolation) === JSON.stringify(isolation))
  assert.ok(found)
  return found
}

test('a scanner taken over reaches no network, no file of ours, no other process, and no more memory than it may', {
  skip: isRoot ? false : 'a user for each scanner takes root on Linux',
}, async (t) => {
  const launcher = await best(t)
  if (launcher.isolation.why !== null) return t.skip(launcher.isolation.why)
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const root = folder(t)
  const store = createFileStore(root, 'held')
  await store.make()
  const content = Buffer.from('held')
  const sha256 = createHash('sha256').update(content).digest('hex')
  await store.write(sha256, content)
  const [command = '', ...words] = launcher.wrap([process.execPath, '-e', 'setInterval(() => {}, 1000)'])
  const sibling = spawn(command, words, { stdio: 'ignore' })
  t.after(() => sibling.kill('SIGKILL'))
  await waitFor('the sibling has its user', () => {
    const [, user] = /^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${sibling.pid}/status`, 'latin1')) ?? []
    return user !== '0'
  })
  chmodSync(root, 0o777)
  const question = JSON.stringify({
    folder: root,
    port: (server.address() as AddressInfo).port,
    gate: process.pid,
    sibling: sibling.pid,
    files: ['/etc/shadow', join(root, 'held', sha256.slice(0, 2), sha256)],
  })
  const free = JSON.parse(await run([process.execPath, probe, question]))
  rmSync(join(root, 'probe'))
  assert.deepEqual(
    [free.connects, free.reads.length, free.writes, free.killsGate, free.killsSibling, free.grows],
    [true, 2, true, true, true, true],
    'without a launcher all of it works',
  )
  const { user, group, ...kept } = JSON.parse(await run(launcher.wrap([process.execPath, probe, question])))
  assert.ok(user >= 60_706 && user < 61_184 && group === user)
  assert.deepEqual(kept, {
    groups: [],
    connects: false,
    reads: [],
    writes: false,
    killsGate: false,
    killsSibling: false,
    readsMemoryOf: [],
    readsEnvironmentOf: [],
    environment: [],
    inherited: [],
    grows: false,
  })
})

test('each scanner that really runs has a user of its own, no rights and no network', {
  skip: isRoot ? false : 'a user for each scanner takes root on Linux',
}, async (t) => {
  const scanners = createScanners({ size: 3, memoryBytes, onRestart: () => undefined })
  t.after(() => scanners.close())
  const isolation = await scanners.prepare()
  if (isolation.why !== null) return t.skip(isolation.why)
  assert.deepEqual(scanners.isolation(), { uid: true, network: true, memory: true, why: null })
  scanners.startAll()
  const payload = await clouds(1).jpeg().toBuffer()
  await Promise.all(Array.from({ length: 6 }, () => scanners.inspect(payload, generous)))
  // One scanner may have done it all while the others were still what starts them.
  const isScanner = (pid: number): boolean =>
    readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith(process.execPath)
  await waitFor('all three are scanners', () => scanners.pids().length === 3 && scanners.pids().every(isScanner))
  const status = scanners.pids().map((pid) => readFileSync(`/proc/${pid}/status`, 'latin1'))
  const field = (name: string) => status.map((text) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(text)?.[1])
  assert.equal(status.length, 3)
  assert.equal(new Set(field('Uid')).size, 3)
  assert.ok(!field('Uid').includes('0\t0\t0\t0'))
  assert.deepEqual(field('NoNewPrivs'), ['1', '1', '1'])
  assert.deepEqual(new Set(['CapInh', 'CapPrm', 'CapEff', 'CapAmb'].flatMap(field)), new Set(['0000000000000000']))
  for (const pid of scanners.pids()) {
    assert.equal(
      readFileSync(`/proc/${pid}/net/tcp`, 'latin1').trim().split('\n').length,
      1,
      'no connection to be seen',
    )
  }
})

test('no scanner runs as a user whom a process runs as already, of another gate say', {
  skip: isRoot ? false : 'a user for each scanner takes root on Linux',
}, async (t) => {
  const launcher = await best(t)
  if (!launcher.isolation.uid) return t.skip(launcher.isolation.why ?? '')
  const userOf = (words: readonly string[]) => words.find((word) => word.startsWith('--reuid='))
  const words = launcher.wrap(['sleep', '600'])
  const other = spawn(words[0] ?? '', words.slice(1), { stdio: 'ignore' })
  t.after(() => other.kill('SIGKILL'))
  await waitFor('it has its user', () => `--reuid=${statSync(`/proc/${other.pid}`).uid}` === userOf(words))
  const users = new Set(Array.from({ length: 1000 }, () => userOf(launcher.wrap(['true']))))
  assert.ok(!users.has(userOf(words)))
  assert.ok(users.size > 400)
})

test('without root scanners run all the same, with what can be had, and say what is missing', {
  skip: isRoot ? false : 'only root can try as somebody else',
}, async (t) => {
  const program = `
    import { createScanners } from ${JSON.stringify(scannersModule)}
    const scanners = createScanners({ size: 1, memoryBytes: ${memoryBytes}, onRestart() {} })
    const isolation = await scanners.prepare()
    const { faults } = await scanners.inspect(Buffer.from('no picture'), ${JSON.stringify(generous)})
    await scanners.close()
    process.stdout.write(JSON.stringify({ isolation, faults }))`
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', '--inh-caps=-all', '--']
  if ((await run([...nobody, 'cat', fileURLToPath(scannersModule)], { PATH: process.env.PATH })) === '')
    return t.skip('nobody but its owner may enter the folder of this checkout')
  const { isolation, faults } = JSON.parse(
    await run([...nobody, process.execPath, '--input-type=module', '-e', program], { PATH: process.env.PATH }),
  )
  assert.deepEqual(faults, ['MEDIA_UNSUPPORTED'])
  assert.deepEqual({ uid: isolation.uid, memory: isolation.memory }, { uid: false, memory: true })
  assert.match(isolation.why, /takes root/)
})

test('a scanner that is busy does not outlive a gate that is killed', {
  skip: process.platform !== 'linux' && 'only Linux ends a process with its parent',
}, async (t) => {
  const program = `
    import { createScanners } from ${JSON.stringify(scannersModule)}
    const scanners = createScanners({ size: 1, memoryBytes: ${memoryBytes}, onRestart() {}, entry: new URL('file://${hostile}') })
    await scanners.prepare()
    scanners.inspect(Buffer.from('hang'), ${JSON.stringify({ ...generous, seconds: 600 })})
    setTimeout(() => process.stdout.write(String(scanners.pids()[0])), 100)
    setInterval(() => {}, 1000)`
  const gate = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => gate.kill('SIGKILL'))
  const [piece] = await once(gate.stdout, 'data')
  const scanner = Number(piece)
  assert.doesNotThrow(() => process.kill(scanner, 0))
  gate.kill('SIGKILL')
  await waitFor('the scanner is gone', () => {
    try {
      return !process.kill(scanner, 0)
    } catch {
      return true
    }
  })
})
