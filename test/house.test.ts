import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'

const services = join(import.meta.dirname, '../services')

/** What the domain may take from outside: packages that do no I/O. */
const PURE_PACKAGES = new Set(['node:crypto', 'node:zlib', 'yaml', 'zod'])

/** What it reads is code of the domain's own, compiled: an import in all but name. */
const KERNEL_LOADER = 'domain/load-kernel.ts'

/** `to`: a path below `services/`, or the name of a package. */
type Import = { file: string; to: string; isPackage: boolean }

/** Every import of every file below `services/`, static or not. */
function findImports(): Import[] {
  return sourceFiles().flatMap((file) => {
    const text = readFileSync(join(services, file), 'utf8')
    return [...text.matchAll(/\b(?:from|import|import\()\s*'([^']+)'/g)].map(([, name = '']): Import => {
      const path = join(services, dirname(file), name)
      return existsSync(path)
        ? { file, to: relative(services, path), isPackage: false }
        : { file, to: name, isPackage: true }
    })
  })
}

function sourceFiles(): string[] {
  return readdirSync(services, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
}

/** The service (or domain, or platform) that a file belongs to; the file itself where it stands alone. */
function houseOf(file: string): string {
  return file.split('/')[0] ?? file
}

const imports = findImports()
const inside = imports.filter(({ isPackage }) => !isPackage)

test('the house has imports to look at', () => {
  assert.ok(inside.some(({ file, to }) => file === 'cli.ts' && houseOf(to) === 'gate'))
  assert.ok(inside.some(({ file, to }) => houseOf(file) === 'platform' && houseOf(to) === 'domain'))
})

test('the domain imports itself and packages without I/O, nothing else', () => {
  const wrong = imports
    .filter(({ file }) => houseOf(file) === 'domain')
    .filter(({ to, isPackage }) => (isPackage ? !PURE_PACKAGES.has(to) : houseOf(to) !== 'domain'))
    .filter(({ file, to }) => !(file === KERNEL_LOADER && to === 'node:fs'))
  assert.deepEqual(wrong, [])
})

test('the platform imports the domain and itself', () => {
  const wrong = inside
    .filter(({ file }) => houseOf(file) === 'platform')
    .filter(({ to }) => !['domain', 'platform'].includes(houseOf(to)))
  assert.deepEqual(wrong, [])
})

test('a service imports itself, the domain and the platform, never another service', () => {
  const wrong = inside
    .filter(({ file }) => !['cli.ts', 'domain', 'platform'].includes(houseOf(file)))
    .filter(({ file, to }) => ![houseOf(file), 'domain', 'platform'].includes(houseOf(to)))
  assert.deepEqual(wrong, [])
})

test('what services/ imports of the checkout lies in services/', () => {
  assert.deepEqual(
    inside.filter(({ to }) => to.startsWith('..')),
    [],
  )
})

test('every folder with sources has a README', () => {
  const folders = new Set(sourceFiles().map((file) => dirname(file)))
  const without = [...folders].filter((folder) => !existsSync(join(services, folder, 'README.md')))
  assert.deepEqual(without, [])
})
