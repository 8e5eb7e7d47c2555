import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Principal, principalOf, principals } from '../../services/domain/principals.ts'
import type { Bench } from '../integration/harness.ts'
import { endWithThisProcess } from '../integration/leftovers.ts'

const CLI = join(import.meta.dirname, '../../services/cli.ts')

/** What the page has somebody fill in. */
const placeholders = [
  'RUN',
  'PLAN',
  'GATE',
  'LIST',
  'ENTRY',
  'GOOD',
  'BAD',
  'PARTITION',
  'OFFSET',
  'ITEM',
  'SUPPLIER',
] as const
export type Words = Partial<Record<(typeof placeholders)[number], string>>

/** A line of a block of commands, or a line that the commands before it have printed. */
type Step = { command: string; as: Principal } | { printed: string }
export type Section = { heading: string; steps: Step[] }

/** The sections of a page in order, each with the commands of its blocks marked `sh`, and what its blocks marked `text` say that they print. */
export function sectionsOf(page: string): Section[] {
  return page
    .split(/^## /m)
    .slice(1)
    .map((part) => {
      const heading = part.split('\n', 1)[0] ?? ''
      const blocks = [...part.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
      const steps = blocks.flatMap(([, kind, lines = '']): Step[] =>
        lines
          .split('\n')
          .filter((line) => line.trim() !== '')
          .map((line) => (kind === 'sh' ? stepOf(line) : { printed: line })),
      )
      return { heading, steps }
    })
}

/** Who it comes as: on-call, unless the page names somebody. */
function stepOf(line: string): Step {
  const [, named = 'on-call'] = / # as ([a-z-]+)/.exec(line) ?? []
  const as = principals.find((each) => each === named)
  assert.ok(as, `${line}: there is no principal ${named}`)
  const words = line.replace(/^npx sluice /, '').split(' ')
  assert.notEqual(words[0], 'npx', `${line}: expected npx sluice`)
  // That one asks the gate, and no broker.
  if (!line.startsWith('npx sluice gate status ')) assert.equal(principalOf(words), as, line)
  return { command: line, as }
}

/** Every command that the page names in its text, blocks apart. */
export function namedCommands(page: string): string[] {
  const prose = page.replaceAll(/^```.*?^```$/gms, '')
  return [...prose.matchAll(/`((?:npx )?sluice [a-z]+[^`\n]*)`/g)].map(([, name = '']) => name.replace(/^npx /, ''))
}

/** A command, as it came out. @property output stdout and stderr */
export type Done = { code: number | null; stdout: string; output: string }

/** The place of whoever is on call: an empty folder, `npx sluice`, and for each principal its credentials and nobody else's. */
export type Desk = {
  folder: string
  /** Runs a line by a shell. */
  run(line: string, as: Principal): Promise<Done>
}

export async function openDesk(bench: Bench): Promise<Desk> {
  const folder = join(bench.folder, 'desk')
  const npx = join(bench.folder, 'bin', 'npx')
  for (const each of [folder, join(bench.folder, 'bin')]) await mkdir(each)
  await writeFile(npx, `#!/bin/sh\nshift\nexec '${process.execPath}' '${CLI}' "$@"\n`)
  await chmod(npx, 0o755)
  const users = bench.environment.SLUICE_KAFKA_USERS
  for (const principal of users === undefined ? [] : principals) {
    await mkdir(join(bench.folder, 'users', principal), { recursive: true })
    await copyFile(join(users ?? '', principal), join(bench.folder, 'users', principal, principal))
  }
  return {
    folder,
    async run(line, as) {
      const own = users === undefined ? {} : { SLUICE_KAFKA_USERS: join(bench.folder, 'users', as) }
      const path = `${join(bench.folder, 'bin')}:${process.env.PATH}`
      const child = spawn('sh', ['-c', line], {
        cwd: folder,
        env: { HOME: process.env.HOME, ...bench.environment, ...own, PATH: path },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const forget = endWithThisProcess(() => child.kill('SIGKILL'))
      child.once('exit', forget)
      const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
      return { code: child.exitCode, stdout, output: `${stdout}\n${stderr}` }
    },
  }
}

/** Goes through a section, one command after the other. */
export function followSection({ heading, steps }: Section, desk: Desk, words: Words) {
  let at = 0
  const all: Words = { ...words }
  /** since the last block of what is printed */
  let lines: string[] = []

  function compare(): void {
    let from = 0
    for (let said = steps[at]; said !== undefined && 'printed' in said; said = steps[++at]) {
      const pattern = patternOf(said.printed, all)
      const found = lines.findIndex((each, index) => index >= from && pattern.test(each))
      assert.ok(found >= 0, `${heading}: nothing prints \`${said.printed}\`:\n${lines.join('\n')}`)
      from = found + 1
    }
    if (from > 0) lines = []
  }

  return {
    /** Fills in what has become known. */
    know(more: Words): void {
      Object.assign(all, more)
    },
    /**
     * Runs the next command. When it is the last of its block, what the page says that the block prints is looked for in it, line by line.
     * @param begins what the command begins with, behind `npx sluice`
     */
    async next(begins: string, code = 0): Promise<Done> {
      const step = steps[at]
      assert.ok(step && 'command' in step, `${heading}: expected ${begins}, found the end`)
      assert.ok(
        step.command.startsWith(`npx sluice ${begins}`),
        `${heading}: expected ${begins}, found ${step.command}`,
      )
      at += 1
      const line = filled(step.command, all)
      const done = await desk.run(line, step.as)
      assert.equal(done.code, code, `${heading}: ${line} ended with ${done.code}:\n${done.output}`)
      lines.push(...done.output.split('\n'))
      compare()
      return done
    },
    end(): void {
      const rest = steps.slice(at).map((step) => ('command' in step ? step.command : step.printed))
      assert.deepEqual(rest, [], `${heading}: all of it is tried`)
    },
  }
}

function filled(line: string, words: Words): string {
  return line.replaceAll(new RegExp(`\\b(${placeholders.join('|')})\\b`, 'g'), (name) => {
    const word = Object.entries(words).find(([key]) => key === name)?.[1]
    assert.ok(word !== undefined, `${line}: ${name} is not known`)
    return word
  })
}

/** Numbers may be others, spaces more, and `…` is anything. */
function patternOf(printed: string, words: Words): RegExp {
  const known = filled(printed, words)
  const parts = known
    .trim()
    .split(/\s+/)
    .map((part) =>
      part
        .split('…')
        .map((piece) =>
          piece
            .split(/\d+/)
            .map((plain) => plain.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
            .join('\\d+'),
        )
        .join('.*'),
    )
  return new RegExp(parts.join('\\s+'))
}

export function readPage(): string {
  return readFileSync(join(import.meta.dirname, '../../services/replay/RUNBOOK.md'), 'utf8')
}
