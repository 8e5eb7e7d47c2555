import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Entry of a thread that waits for disks, see `file-threads.ts`. Its code is kept compiled as that of every command is.
enableCompileCache(join(import.meta.dirname, '../../../node_modules/.cache/sluice'))

const { runFileThread } = await import('./run-file-thread.ts')
runFileThread()
