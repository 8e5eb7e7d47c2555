/**
 * Builds `dist/`, what npm publishes: JavaScript and types of `services/`, and beside them, as in the checkout, the files that they read.
 * Called by `npm pack`, with the kernels built.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist')

/** Whatever else `services/` reads. */
const assets = [
  'schemas',
  'infra/policy.yaml',
  'infra/topics.yaml',
  'infra/access.yaml',
  'infra/pom.xml',
  'infra/kafka',
  'infra/containers/log4j2.properties',
  'services/domain/kernels/pdq.wasm',
  'services/domain/kernels/pdq-index.wasm',
]

rmSync(dist, { recursive: true, force: true })
execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', import.meta.dirname], { stdio: 'inherit' })
for (const asset of assets) {
  mkdirSync(dirname(join(dist, asset)), { recursive: true })
  cpSync(join(root, asset), join(dist, asset), { recursive: true })
}
// Code finds it at the root, two folders above itself.
const { name, version, type }: Record<string, string> = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
writeFileSync(join(dist, 'package.json'), `${JSON.stringify({ name, version, type, private: true })}\n`)
