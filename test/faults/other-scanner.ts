import childProcess from 'node:child_process'
import { syncBuiltinESMExports } from 'node:module'
import { fileURLToPath } from 'node:url'

/**
 * Loaded before a gate (`node --import`), this lets its scanners run the program that SCANNER_PROGRAM names instead of ours: the same
 * launcher, rights and limits, another file.
 */
const ours = fileURLToPath(new URL('../../services/gate/inspect/scanner.ts', import.meta.url))
const other = process.env.SCANNER_PROGRAM ?? ''

childProcess.spawn = new Proxy(childProcess.spawn, {
  apply(spawn, self, [command, words, ...rest]: [string, string[], ...unknown[]]) {
    return Reflect.apply(spawn, self, [command, words.map((word) => word.replace(ours, other)), ...rest])
  },
})
syncBuiltinESMExports()
