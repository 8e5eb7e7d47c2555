import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

// A thread whose disk takes a second for four megabytes.

const BYTES_A_MS = 4194.304
const never = new Int32Array(new SharedArrayBuffer(4))
const { writeSync } = fs
Reflect.set(fs, 'writeSync', (file: number, bytes: Uint8Array, from: number) => {
  const written = writeSync(file, bytes, from)
  Atomics.wait(never, 0, 0, written / BYTES_A_MS)
  return written
})
syncBuiltinESMExports()
await import('../../services/platform/stores/file-thread.ts')
