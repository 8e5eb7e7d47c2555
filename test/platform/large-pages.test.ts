import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { useLargePages } from '../../services/platform/large-pages.ts'

const BYTES = 67_108_864
const SWITCH = '/sys/kernel/mm/transparent_hugepage/enabled'

/** Of this process's memory, as the system tells. */
function largeBytes(): number {
  return Number(/^AnonHugePages:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))?.[1] ?? 0) * 1024
}

function cannot(): string | false {
  if (process.platform !== 'linux') return 'only Linux is asked for large pages'
  const isOff = !existsSync(SWITCH) || readFileSync(SWITCH, 'latin1').includes('[never]')
  return isOff && 'this system gives no large pages'
}

test('memory is laid into large pages, and holds what it held', { skip: cannot() }, () => {
  const memory = new SharedArrayBuffer(BYTES)
  const numbers = new Uint32Array(memory)
  for (let at = 0; at < numbers.length; at++) numbers[at] = Math.imul(at, 0x9e3779b1)
  const before = largeBytes()
  useLargePages(memory)
  // The system may lack some, but not most of them.
  assert.ok(largeBytes() - before > BYTES / 2, `${largeBytes() - before} of ${BYTES} bytes`)
  for (let at = 0; at < numbers.length; at++) {
    if (numbers[at] !== Math.imul(at, 0x9e3779b1) >>> 0) assert.fail(`another number at ${at}`)
  }
})

test('what can not be laid into large pages stays as it is', () => {
  const memory = new SharedArrayBuffer(100)
  new Uint8Array(memory).fill(7)
  useLargePages(memory)
  useLargePages(new SharedArrayBuffer(0))
  assert.ok(new Uint8Array(memory).every((byte) => byte === 7))
})
