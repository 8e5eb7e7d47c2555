import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { openLibc } from '../../services/platform/libc.ts'
import { returnFreeMemory } from '../../services/platform/release-memory.ts'

/** Below what glibc takes from the system for each alone. */
const BYTES = 100_000
const BUFFERS = 2000
/** Some of what is left is in use, so that what is free lies between. */
const KEPT_EVERY = 50

test('free memory between what is in use goes back to the system', {
  skip: !openLibc()?.find('int malloc_trim(size_t pad)') && 'there is no glibc',
}, async () => {
  const buffers = Array.from({ length: BUFFERS }, (_, at) => Buffer.allocUnsafeSlow(BYTES).fill(at % 251))
  for (const [at, { buffer }] of buffers.entries()) if (at % KEPT_EVERY !== 0) buffer.transfer(0)
  const before = process.memoryUsage.rss()
  returnFreeMemory()
  const deadline = Date.now() + 10_000
  while (before - process.memoryUsage.rss() < (BYTES * BUFFERS) / 2) {
    assert.ok(Date.now() < deadline, `${before - process.memoryUsage.rss()} bytes went back`)
    await wait(20)
  }
  for (let at = 0; at < BUFFERS; at += KEPT_EVERY) assert.ok(buffers[at]?.every((byte) => byte === at % 251))
})
