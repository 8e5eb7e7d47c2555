import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync, writeSync } from 'node:fs'
import { READY_LINE } from '../../services/gate/inspect/answer.ts'
import { createQuestionReader } from '../../services/gate/inspect/question.ts'

// A scanner as it might be after a payload has taken it over: the payload names what it does.

const value = '0'.repeat(64)
const signal = { signal: 'pdq', version: 1, value, quality: 50, frame: 0, transform: 'identity' }
const png = { mediaType: 'image/png', faults: [] }

/** Names what this process can do that a scanner should not. */
function rights(): string {
  const attempts: Record<string, () => unknown> = {
    read: () => readFileSync('/etc/hostname'),
    write: () => writeFileSync('taken-over.txt', ''),
    run: () => spawnSync('true'),
  }
  const can = Object.entries(attempts).filter(([, attempt]) => {
    try {
      attempt()
      return true
    } catch {
      return false
    }
  })
  return ['can', ...can.map(([name]) => name), ...Object.keys(process.env).sort()].join('.')
}

function lines(...values: unknown[]): string {
  return values.map((value) => `${typeof value === 'string' ? value : JSON.stringify(value)}\n`).join('')
}

/** Memory as decoders take it: outside of the heap of JavaScript, and touched. */
function eat(megabytes: number): never {
  const eaten: Buffer[] = []
  for (;;) eaten.push(Buffer.alloc(megabytes * 1024 ** 2, 1))
}

/** As fast as the gate reads, and without ever letting go of the thread. */
function sayForEver(text: string): never {
  const bytes = Buffer.from(text)
  let at = 0
  for (;;) {
    try {
      at = (at + writeSync(1, bytes, at)) % bytes.length
    } catch {
      // The pipe is full.
    }
  }
}

const behaviours: Record<string, (id: number) => string> = {
  fine: (id) => lines(signal, { ...png, id }),
  'in pieces': (id) => {
    const text = lines(signal, { ...png, id })
    for (const letter of text.slice(0, -1)) process.stdout.write(letter)
    return text.slice(-1)
  },
  'fine, then more': (id) => lines(signal, { ...png, id }, signal),
  'wrong id': (id) => lines(signal, { ...png, id: id + 1 }),
  'no json': () => lines('clean'),
  'too many signals': (id) => lines(...Array.from({ length: 20_000 }, () => signal), { ...png, id }),
  'a line too long': (id) => lines(signal, { ...png, id, mediaType: `image/png;${'x'.repeat(600)}` }),
  'an endless line': () => sayForEver(' '.repeat(65_536)),
  'endless lines': () => sayForEver(lines(...Array.from({ length: 500 }, () => signal))),
  'endless empty lines': () => sayForEver('\n'.repeat(65_536)),
  rights: (id) => lines({ id, mediaType: `x/${rights()}`, faults: ['MEDIA_UNSUPPORTED'] }),
  'eat slowly': () => eat(16),
  'eat at once': () => eat(3000),
  crash: () => {
    process.kill(process.pid, 'SIGKILL')
    return ''
  },
  hang: () => {
    for (;;);
  },
}

const read = createQuestionReader(({ id, payload }) => {
  process.stdout.write(behaviours[Buffer.from(payload).toString()]?.(id) ?? '')
})
process.stdin.on('data', (piece) => {
  const [head = ''] = piece.toString('latin1', 0, 1000).split('\n')
  if (!piece.includes('too early')) return read(piece)
  process.stdin.pause()
  // With nothing to listen to it would end.
  setInterval(() => {}, 1000)
  process.stdout.write(behaviours.fine?.(JSON.parse(head).id) ?? '')
})
process.stdout.write(READY_LINE)
