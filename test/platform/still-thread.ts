import { parentPort } from 'node:worker_threads'

// A thread whose disk stands still: it takes its task and never answers.
parentPort?.on('message', () => undefined)
