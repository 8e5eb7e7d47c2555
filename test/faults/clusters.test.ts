import { readdirSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The tests that have three brokers of their own, one file after the other in one process: two such clusters at a time are more than a small machine
 * carries beside all else, and whoever waits for them waits longer than for both in turn. Each file can be run alone as well.
 */
const folder = join(import.meta.dirname, 'cluster')
for (const file of readdirSync(folder).sort()) if (file.endsWith('.test.ts')) await import(join(folder, file))
