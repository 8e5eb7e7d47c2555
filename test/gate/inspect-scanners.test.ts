import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import sharp from 'sharp'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import { launchers } from '../../services/gate/inspect/launcher.ts'
import { type ScannerEnd, startScanner } from '../../services/gate/inspect/scanner-child.ts'
import { createScanners, type ScannersOptions, scannerMemory } from '../../services/gate/inspect/scanners.ts'
import { waitFor } from '../integration/waiting.ts'
import { animation, clouds, generous } from './inspect-made.ts'

const hostile = new URL('inspect-hostile-scanner.ts', import.meta.url)
const impatient = { ...generous, frames: 4, seconds: 5 }
const memoryBytes = scannerMemory({ pixels: 36_000_000, payloadBytes: 1_000_000 })

function pool(t: TestContext, options: Partial<ScannersOptions> = {}) {
  const restarts: ScannerEnd[] = []
  const scanners = createScanners({ size: 1, memoryBytes, onRestart: (why) => restarts.push(why), ...options })
  t.after(() => scanners.close())
  return { ...scanners, restarts, scanners }
}

/** Process id 0 would be the whole group of this process. */
function onlyOne(pids: readonly number[]): number {
  const [pid, ...others] = pids
  assert.ok(pid !== undefined && others.length === 0, `one scanner: ${pids.join()}`)
  return pid
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

function residentMegabytes(pid: number): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

test('a scanner process sees what this process would see', async (t) => {
  const { inspect, restarts } = pool(t, { size: 2 })
  const payloads = [
    await clouds(1).jpeg().toBuffer(),
    await clouds(2).png().toBuffer(),
    await clouds(2).ensureAlpha(0.5).webp().toBuffer(),
    await animation('gif', [1, 2]),
    Buffer.from('no picture'),
  ]
  const seen = await Promise.all(payloads.map((payload) => inspect(payload, generous)))
  for (const [i, payload] of payloads.entries()) assert.deepEqual(seen[i], await inspectPayload(payload, generous))
  assert.deepEqual(restarts, [])
})

test('no item waits for a scanner that is still being started while another is free', async (t) => {
  const { scanners, restarts } = pool(t, { size: 2 })
  await scanners.prepare()
  const [first] = scanners.pids()
  scanners.startAll()
  await waitFor('both are started', () => scanners.pids().length === 2)
  const second = scanners.pids().find((pid) => pid !== first)
  assert.ok(second !== undefined)
  process.kill(second, 'SIGSTOP')
  const payload = await clouds(1).jpeg().toBuffer()
  for (let n = 0; n < 3; n++) assert.equal((await scanners.inspect(payload, generous)).mediaType, 'image/jpeg')
  assert.deepEqual(restarts, [])
})

for (const killer of ['crash', 'hang', 'no json']) {
  test(`items that lie ready behind one that ends its scanner (${killer}) are not blamed for it`, async (t) => {
    const { inspect, restarts } = pool(t, { entry: hostile })
    const words = ['fine', killer, 'fine', 'fine']
    const seconds = killer === 'hang' ? 3 : 30
    const seen = await Promise.all(words.map((word) => inspect(Buffer.from(word), { ...impatient, seconds })))
    const blamed = killer === 'hang' ? 'SCANNER_TIMEOUT' : 'SCANNER_CRASHED'
    assert.deepEqual(
      seen.map(({ faults }) => faults),
      [[], [blamed], [], []],
    )
    assert.equal(restarts.length, 2)
  })
}

test('a picture that decoders would lay down on disc is seen without', async (t) => {
  const { inspect, restarts } = pool(t)
  const white = { width: 6000, height: 6000, channels: 3, background: 'white' } as const
  const payload = await sharp({ create: white }).webp({ effort: 0 }).toBuffer()
  assert.deepEqual((await inspect(payload, { ...generous, seconds: 300 })).faults, [])
  assert.deepEqual(restarts, [])
})

test('scanners start when they are needed, and no more than allowed', async (t) => {
  const { inspect, pids } = pool(t, { size: 2 })
  assert.deepEqual(pids(), [])
  const payload = await clouds(1).jpeg().toBuffer()
  await inspect(payload, generous)
  assert.equal(pids().length, 1)
  await Promise.all(Array.from({ length: 9 }, () => inspect(payload, generous)))
  assert.equal(pids().length, 2)
})

test('a scanner that is killed is replaced, and its item is tried again', async (t) => {
  const { inspect, pids, restarts } = pool(t)
  const payload = await clouds(1).jpeg().toBuffer()
  const expected = await inspect(payload, generous)
  const first = onlyOne(pids())
  process.kill(first, 'SIGSTOP')
  const pending = inspect(payload, generous)
  process.kill(first, 'SIGKILL')
  assert.deepEqual(await pending, expected)
  assert.notEqual(pids()[0], first)
  assert.deepEqual(restarts, ['crashed'])
})

test('a scanner that was killed while idle is replaced', async (t) => {
  const { inspect, pids } = pool(t)
  const payload = await clouds(1).jpeg().toBuffer()
  const expected = await inspect(payload, generous)
  process.kill(onlyOne(pids()), 'SIGKILL')
  await waitFor('it is found dead', () => pids().length === 0)
  assert.deepEqual(await inspect(payload, generous), expected)
})

test('an item that kills its scanner twice has the fault SCANNER_CRASHED', async (t) => {
  const { inspect, restarts } = pool(t, { entry: hostile })
  assert.deepEqual(await inspect(Buffer.from('crash'), impatient), {
    mediaType: null,
    fingerprint: [],
    faults: ['SCANNER_CRASHED'],
  })
  assert.deepEqual(restarts, ['crashed', 'crashed'])
  assert.deepEqual((await inspect(Buffer.from('fine'), impatient)).faults, [])
})

test('an item that hangs its scanner twice has the fault SCANNER_TIMEOUT', async (t) => {
  const { inspect, pids, restarts } = pool(t, { entry: hostile })
  const pending = inspect(Buffer.from('hang'), { ...impatient, seconds: 1 })
  await waitFor('it is started', () => pids().length === 1, { everyMs: 20 })
  const first = onlyOne(pids())
  assert.deepEqual((await pending).faults, ['SCANNER_TIMEOUT'])
  assert.deepEqual(restarts, ['timeout', 'timeout'])
  await waitFor('the first has ended', () => !isRunning(first))
})

test('a scanner that is frozen is killed, and its item tried again', async (t) => {
  const { inspect, pids, restarts } = pool(t)
  const payload = await clouds(1).jpeg().toBuffer()
  const expected = await inspect(payload, generous)
  process.kill(onlyOne(pids()), 'SIGSTOP')
  assert.deepEqual(await inspect(payload, { ...generous, seconds: 15 }), expected)
  assert.deepEqual(restarts, ['timeout'])
})

test('answers are not believed', async (t) => {
  const { inspect, restarts } = pool(t, { size: 2, entry: hostile })
  const lies = ['no json', 'wrong id', 'too many signals', 'a line too long']
  const seen = await Promise.all(lies.map((lie) => inspect(Buffer.from(lie), impatient)))
  for (const [i, lie] of lies.entries()) assert.deepEqual(seen[i]?.faults, ['SCANNER_CRASHED'], lie)
  assert.deepEqual(restarts, Array(2 * lies.length).fill('garbage'))
})

test('an answer is none before all has been heard: what is still being read of the payload is not given back', async (t) => {
  const { inspect, restarts } = pool(t, { entry: hostile })
  const { faults } = await inspect(Buffer.alloc(8_000_000, 'too early'), impatient)
  assert.deepEqual([faults, restarts], [['SCANNER_CRASHED'], ['garbage', 'garbage']])
  assert.deepEqual((await inspect(Buffer.from('fine'), impatient)).faults, [])
})

test('many large payloads that lie ready are heard one after the other', async (t) => {
  const launcher = launchers(memoryBytes)[0]
  assert.ok(launcher)
  const entry = new URL('../../services/gate/inspect/scanner.ts', import.meta.url)
  const child = await startScanner({ entry, launcher, memoryBytes, onSpawn: (it) => t.after(() => it.kill()) })
  assert.ok(child)
  // Longer than all that pipes hold, so that several wait to be sent together.
  const payloads = await Promise.all(
    [1, 2, 3, 4, 5].map((n) => clouds(n, 800, 600).png({ compressionLevel: 0 }).toBuffer()),
  )
  const seen = await Promise.all(payloads.map((payload) => child.ask(payload, generous)))
  for (const [n, payload] of payloads.entries()) assert.deepEqual(seen[n], await inspectPayload(payload, generous))
})

test('an answer may come in pieces; who says more than the answer is not asked again', async (t) => {
  const { inspect, pids } = pool(t, { entry: hostile })
  assert.deepEqual((await inspect(Buffer.from('in pieces'), impatient)).faults, [])
  const first = onlyOne(pids())
  assert.deepEqual((await inspect(Buffer.from('fine, then more'), impatient)).faults, [])
  await waitFor('the first has ended', () => !isRunning(first))
  assert.deepEqual((await inspect(Buffer.from('fine'), impatient)).faults, [])
})

test('a scanner that never stops talking is killed, and fills no memory here', async (t) => {
  const { inspect, restarts } = pool(t, { entry: hostile })
  await inspect(Buffer.from('fine'), impatient)
  const before = process.memoryUsage.rss()
  for (const endless of ['an endless line', 'endless lines', 'endless empty lines']) {
    assert.deepEqual((await inspect(Buffer.from(endless), impatient)).faults, ['SCANNER_CRASHED'], endless)
  }
  assert.deepEqual(restarts, Array(6).fill('garbage'))
  const grown = process.memoryUsage.rss() - before
  assert.ok(grown < 50 * 1024 ** 2, `${grown} bytes more`)
})

test('a scanner that takes more memory than it may is killed, whether it takes it slowly or at once', {
  skip: process.platform !== 'linux' && 'only Linux tells what memory a process takes',
}, async (t) => {
  const { inspect, pids, restarts } = pool(t, { entry: hostile })
  await inspect(Buffer.from('fine'), impatient)
  let most = 0
  const look = setInterval(() => {
    for (const pid of pids()) most = Math.max(most, residentMegabytes(pid))
  }, 5)
  t.after(() => clearInterval(look))
  for (const way of ['eat slowly', 'eat at once']) {
    const { faults } = await inspect(Buffer.from(way), { ...impatient, seconds: 300 })
    assert.deepEqual(faults, ['SCANNER_CRASHED'], way)
  }
  assert.equal(restarts.filter((why) => why === 'timeout').length, 0)
  assert.ok(restarts.includes('memory'), restarts.join())
  // The kernel's limit, should this process not have looked in time.
  assert.ok(most < (memoryBytes + 1.1 * 1024 ** 3) / 1024 ** 2, `${most} MB at most`)
  assert.deepEqual((await inspect(Buffer.from('fine'), impatient)).faults, [])
})

test('a scanner makes room for a fresh one after some items, and works on until that one is ready', async (t) => {
  const { inspect, pids, restarts } = pool(t, { itemsEach: 3 })
  const payload = await clouds(1).jpeg().toBuffer()
  const expected = await inspect(payload, generous)
  const first = onlyOne(pids())
  for (let item = 2; item <= 4; item++) {
    assert.deepEqual(await inspect(payload, generous), expected)
    assert.equal(pids()[0], first, `item ${item} did not have to wait for another process`)
  }
  await waitFor('there are two', () => pids().length === 2, { everyMs: 20 })
  await waitFor('the first makes room', async () => {
    assert.deepEqual(await inspect(payload, generous), expected)
    return !pids().includes(first)
  })
  await waitFor('the first has ended', () => !isRunning(first))
  assert.ok(pids().length <= 2)
  assert.deepEqual(restarts, [])
})

test('a scanner has no environment, and no right to read, write or run anything else', async (t) => {
  const { inspect } = pool(t, { entry: hostile })
  const { mediaType } = await inspect(Buffer.from('rights'), impatient)
  assert.equal(mediaType, 'x/can.GLIBC_TUNABLES.MALLOC_ARENA_MAX.VIPS_DISC_THRESHOLD')
})

test('scanners that can not be started are a fault of the surroundings', async (t) => {
  const { inspect } = pool(t, { entry: new URL('no-such-scanner.ts', import.meta.url) })
  for (let i = 0; i < 2; i++) {
    await assert.rejects(inspect(Buffer.from('x'), impatient), { code: 'SCANNERS_UNAVAILABLE', fault: 'surroundings' })
  }
})

test('closing rejects what is pending and ends all scanners', async (t) => {
  const { scanners } = pool(t, { size: 2, entry: hostile })
  const slow = { ...impatient, seconds: 100 }
  await scanners.inspect(Buffer.from('fine'), slow)
  const pending = Array.from({ length: 5 }, () => scanners.inspect(Buffer.from('hang'), slow))
  const rejected = Promise.all(pending.map((one) => assert.rejects(one, { code: 'SCANNERS_UNAVAILABLE' })))
  const pids = scanners.pids()
  await scanners.close()
  await rejected
  assert.deepEqual(scanners.pids(), [])
  for (const pid of pids) assert.ok(!isRunning(pid))
  await assert.rejects(scanners.inspect(Buffer.from('fine'), slow), { code: 'SCANNERS_UNAVAILABLE' })
})
