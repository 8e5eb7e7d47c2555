import { asTable } from '../../services/platform/table.ts'
import { openBench, openScope } from '../integration/harness.ts'
import { sha256 } from '../integration/items.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'
import { type Ending, measureGaps, type Successor } from './gap.ts'
import { readOptions, wholeNumber } from './options.ts'

/*
 * How long nothing is judged when a gate ends, at the shipped settings: on a stack of its own, or on the one that SLUICE_TEST_BROKERS and
 * SLUICE_TEST_REGISTRY name. Exit code 1 when a bound is broken.
 */
const USAGE = 'gap-table.ts [--times 5]'

/** Seconds that the gap of the last lane may last, by the median. */
const bounds: Readonly<Record<Ending, number>> = { SIGTERM: 2, SIGKILL: 15 }
const successors: readonly Successor[] = ['restart', 'standby']
const endings: readonly Ending[] = ['SIGTERM', 'SIGKILL']

type Result = {
  ending: Ending
  successor: Successor
  /** seconds until the first and until the last partition is judged again, one for each repetition */
  first: number[]
  last: number[]
  bound: number
}

async function bench(times: number): Promise<Result[]> {
  const scope = openScope('gap')
  try {
    const results: Result[] = []
    for (const successor of successors) {
      for (const ending of endings) {
        const place = await openBench(scope)
        await place.importList('stand-in', [{ id: 'known', sha256: sha256(Buffer.from('known')) }])
        const gaps = await measureGaps(place, successor, ending, times)
        results.push({
          ending,
          successor,
          first: gaps.map(({ first }) => first / 1000),
          last: gaps.map(({ last }) => last / 1000),
          bound: bounds[ending],
        })
      }
    }
    scope.passed = true
    return results
  } finally {
    await scope.close()
  }
}

function table(results: readonly Result[]): string {
  const rows = results.map(({ ending, successor, first, last, bound }) => [
    `${ending}, ${successor}`,
    inWords(spread(first), 2),
    inWords(spread(last), 2),
    `${bound}`,
  ])
  return asTable(['seconds until judged again', 'first lane', 'all lanes', 'bound'], rows)
}

const { times } = readOptions(USAGE, { times: wholeNumber.default(5) })
await withStack(async () => {
  const results = await bench(times)
  keep({}, { gap: results })
  process.stdout.write(`${table(results)}\n`)
  if (results.some(({ last, bound }) => spread(last).median > bound)) process.exitCode = 1
})
