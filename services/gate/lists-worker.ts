import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { parentPort } from 'node:worker_threads'

// Entry of the thread that collects the hash lists, see `lists-thread.ts`. Its code is kept compiled as that of every command is.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/sluice'))

const { runListsWorker } = await import('./run-lists-worker.ts')
parentPort?.once('message', runListsWorker)
