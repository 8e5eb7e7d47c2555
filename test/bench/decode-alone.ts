import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { spread } from './figures.ts'

/** Ways of decoding alone. The first one is what the gate is measured against. */
export const decodings = ['plain', 'own'] as const
export type Decoding = (typeof decodings)[number]
export const decodingNames: Readonly<Record<Decoding, string>> = {
  plain: 'decoding alone as sharp documents it (the base)',
  own: 'decoding alone as our scanners do',
}

/** How it is spread over processes. */
export type Layout = { processes: number; atOnce: number }

const layouts: readonly Layout[] = [
  { processes: availableParallelism(), atOnce: 1 },
  { processes: availableParallelism(), atOnce: 2 },
  { processes: 1, atOnce: availableParallelism() },
]
const TRIALS = 3
/** Files of a trial. */
const TRIED = 300

/** For each way the layout that is fastest here: each was tried a few times, by turns. */
export async function chooseLayouts(files: readonly string[]): Promise<Record<Decoding, Layout>> {
  const few = files.slice(0, TRIED)
  const tried: Array<{ way: Decoding; layout: Layout; rate: number }> = []
  for (let trial = 0; trial < TRIALS; trial++) {
    for (const way of decodings) {
      for (const layout of layouts) tried.push({ way, layout, rate: await decodeAlone(few, way, layout) })
    }
  }
  const fastest = (way: Decoding): Layout => {
    const rateOf = (layout: Layout): number => {
      return spread(tried.filter((each) => each.way === way && each.layout === layout).map(({ rate }) => rate)).median
    }
    return layouts.reduce((best, layout) => (rateOf(layout) > rateOf(best) ? layout : best))
  }
  return { plain: fastest('plain'), own: fastest('own') }
}

/** @returns pictures a second, by processes that are warm */
export async function decodeAlone(
  files: readonly string[],
  way: Decoding,
  { processes, atOnce }: Layout,
): Promise<number> {
  const children = Array.from({ length: processes }, (_, at) => {
    const mine = files.filter((_, file) => file % processes === at)
    return spawn(process.execPath, [join(import.meta.dirname, 'bare-decode.ts'), way, String(atOnce), ...mine], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
  })
  const lines = children.map((child) => createInterface(child.stdout)[Symbol.asyncIterator]())
  const said = async (): Promise<void> => {
    const answers = await Promise.all(lines.map((line) => line.next()))
    if (answers.some(({ done }) => done)) throw new Error('a process that decodes has ended')
  }
  try {
    await said()
    const began = performance.now()
    for (const child of children) child.stdin.write('\n')
    await said()
    return files.length / ((performance.now() - began) / 1000)
  } finally {
    for (const child of children) child.stdin.end()
  }
}
