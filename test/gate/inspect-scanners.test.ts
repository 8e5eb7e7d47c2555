import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { inspectPayload } from '../../services/gate/inspect/inspect.ts'
import type { ScannerEnd } from '../../services/gate/inspect/scanner-child.ts'
import { createScanners } from '../../services/gate/inspect/scanners.ts'
import { animation, clouds, generous } from './inspect-made.ts'

const hostile = new URL('inspect-hostile-scanner.ts', import.meta.url)
const impatient = { ...generous, frames: 4, seconds: 1 }

function pool(t: TestContext, { size = 1, entry }: { size?: number; entry?: URL } = {}) {
  const restarts: ScannerEnd[] = []
  const scanners = createScanners({ size, onRestart: (why) => restarts.push(why), ...(entry && { entry }) })
  t.after(() => scanners.close())
  return { ...scanners, restarts, scanners }
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 20_000
  while (!condition()) {
    assert.ok(Date.now() < deadline, 'waited too long')
    await wait(20)
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
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
  const [first = 0] = pids()
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
  process.kill(pids()[0] ?? 0, 'SIGKILL')
  await until(() => pids().length === 0)
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
  const pending = inspect(Buffer.from('hang'), impatient)
  await until(() => pids().length === 1)
  const [first = 0] = pids()
  assert.deepEqual((await pending).faults, ['SCANNER_TIMEOUT'])
  assert.deepEqual(restarts, ['timeout', 'timeout'])
  await until(() => !isRunning(first))
})

test('a scanner that is frozen is killed, and its item tried again', async (t) => {
  const { inspect, pids, restarts } = pool(t)
  const payload = await clouds(1).jpeg().toBuffer()
  const expected = await inspect(payload, generous)
  process.kill(pids()[0] ?? 0, 'SIGSTOP')
  assert.deepEqual(await inspect(payload, { ...generous, seconds: 5 }), expected)
  assert.deepEqual(restarts, ['timeout'])
})

test('answers are not believed', async (t) => {
  const { inspect } = pool(t, { entry: hostile })
  const lies = [
    'wrong id',
    'no object',
    'nothing seen',
    'unknown signal',
    'short hash',
    'high quality',
    'late frame',
    'unknown fault',
    'odd transform',
    'flood',
  ]
  for (const lie of lies) {
    assert.deepEqual((await inspect(Buffer.from(lie), impatient)).faults, ['SCANNER_CRASHED'], lie)
  }
})

test('a scanner has no environment, and no right to read, write or run anything else', async (t) => {
  const { inspect } = pool(t, { entry: hostile })
  const { mediaType } = await inspect(Buffer.from('rights'), impatient)
  assert.equal(mediaType, 'x/can.MALLOC_ARENA_MAX')
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
