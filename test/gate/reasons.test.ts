import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { surroundings } from '../../services/domain/errors.ts'
import { reasons } from '../../services/domain/reasons.ts'
import { createMetrics } from '../../services/platform/metrics.ts'

const services = join(import.meta.dirname, '../../services')
const page = readFileSync(join(services, 'gate/on-call.md'), 'utf8')
const explained = { ...surroundings, ...reasons }

test('every code says what it means and what to do, each in a sentence or two', () => {
  for (const [code, { meaning, action }] of Object.entries(explained)) {
    assert.match(code, /^[A-Z][A-Z_]+$/)
    assert.match(meaning, /^[^A-Z].{10,150}[^.]$/, `${code}: a clause that others can put into a sentence`)
    assert.match(action, /^[A-Z].{20,190}[.?]$/, `${code}: what to do, in whole sentences`)
  }
})

test('the page for on-call has every code as it is in the code, and no other', () => {
  for (const [code, { meaning, action }] of Object.entries(explained)) {
    const section = page.split(`### ${code}\n`)[1]?.split('\n#')[0] ?? ''
    assert.ok(section.toLowerCase().includes(meaning.toLowerCase()), `${code}: run \`make types\``)
    assert.ok(section.includes(action), `${code}: run \`make types\``)
  }
  const headings = [...page.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading)
  assert.deepEqual(headings.toSorted(), Object.keys(explained).toSorted())
  const named = [...page.matchAll(/\b[A-Z]{3,}_[A-Z_]+\b/g)].map(([code]) => code)
  assert.deepEqual(
    named.filter((code) => !Object.hasOwn(explained, code) && !code.startsWith('SLUICE_')),
    [],
  )
})

test('the page for on-call names every metric that there is, and no other', () => {
  const there = createMetrics().registry.getMetricsAsArray()
  const named = new Set([...page.matchAll(/`(sluice_[a-z_]+)`/g)].map(([, name]) => name))
  assert.deepEqual([...named].toSorted(), there.map(({ name }) => name).toSorted())
})

test('the page for on-call names every event that a gate logs, and no other', () => {
  const files = ['gate', 'platform'].flatMap((folder) =>
    readdirSync(join(services, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(services, folder, file), 'utf8')),
  )
  const events = files.flatMap((text) =>
    [...text.matchAll(/\bevent: ([^,}\n]+)/g)].map(([, expression = '']) => expression),
  )
  const logged = new Set(events.flatMap((text) => [...text.matchAll(/'([a-z-]+)'/g)].map(([, name]) => name)))
  const table = page.split('## Log events')[1]?.split('\n## ')[0] ?? ''
  const rows = [...table.matchAll(/^\| (`.*?) \|/gm)].map(([, names = '']) => names)
  const named = rows.flatMap((names) => [...names.matchAll(/`([a-z-]+)`/g)].map(([, name]) => name))
  assert.ok(logged.size > 10)
  assert.deepEqual(named.toSorted(), [...logged].toSorted())
})

test('the commands that on-call is told to run exist', () => {
  const texts = [page, ...Object.values(explained).map(({ action }) => action)].join('\n')
  const commands = new Set([...texts.matchAll(/\bsluice ((?:[a-z]+ ?)+)/g)].map(([, words = '']) => words.trim()))
  assert.ok(commands.size > 3)
  for (const words of commands) {
    const help = execFileSync(process.execPath, [join(services, 'cli.ts'), ...words.split(' '), '--help'], {
      encoding: 'utf8',
    })
    assert.match(help, new RegExp(`^Usage: sluice ${words} `), words)
  }
})
