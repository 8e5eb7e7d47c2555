import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { principalOf } from '../../services/domain/principals.ts'

const cli = readFileSync(join(import.meta.dirname, '../../services/cli.ts'), 'utf8')
const commands = [...cli.matchAll(/^ {2}'?([a-z-]+)'?: \{$/gm)].map(([, name]) => name ?? '')

test('every command comes to the brokers as somebody, but that which has no business there', () => {
  assert.ok(commands.includes('gate'))
  assert.deepEqual(
    commands.filter((name) => principalOf([name]) === null),
    ['inspect'],
  )
})

test('who looks at what is held comes as on-call, who may read nothing of it', () => {
  assert.equal(principalOf(['quarantine', 'ls']), 'on-call')
})

test('a command of two words may come as another than the first of them', () => {
  assert.equal(principalOf(['crawl', 'folder', 'pictures']), 'crawler')
  assert.equal(principalOf(['crawl', 'amend', 'answers.csv']), 'replay')
})
