import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { openBench, openScope } from '../integration/harness.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'

/* How long a list of many PDQ hashes takes onto the topic, and from there into a gate that is ready; and the memory of that gate. */
const USAGE = 'lists.ts [--times 3] [--known 10000000]'

function* rows(count: number) {
  for (let n = 0; n < count; n++) yield { id: `e${n}`, pdq: hash('sha256', String(n)) }
}

/** The most memory that a process has held, in gibibytes. */
function memoryOf(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 2 ** 20
}

async function benchLists(times: number, known: number): Promise<void> {
  const scope = openScope('lists')
  try {
    const bench = await openBench(scope)
    const began = performance.now()
    await withProgress(`${known} entries go onto the topic`, () => bench.importList('stand-in', rows(known)))
    const importSeconds = (performance.now() - began) / 1000
    const loads: number[] = []
    const most: number[] = []
    for (let time = 0; time < times; time++) {
      const started = performance.now()
      const gate = bench.startGate()
      await withProgress('the gate reads its lists', () => gate.untilReady(600))
      loads.push((performance.now() - started) / 1000)
      most.push(memoryOf(gate.pid))
      await bench.stopGate(gate)
    }
    const millions = known / 1_000_000
    const load = spread(loads)
    keep(
      { [`listLoadSeconds${millions}m`]: load },
      { [`list${millions}mRaw`]: { importSeconds, loads, gibibytes: most } },
    )
    const row = [known, importSeconds.toFixed(0), inWords(load, 1), inWords(spread(most), 2)]
    const titles = ['entries', 'import, seconds', 'from start to ready, seconds', 'gate, gibibytes at most']
    process.stdout.write(`${asTable(titles, [row])}\n`)
    scope.passed = true
  } finally {
    await scope.close()
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { times: { type: 'string', default: '3' }, known: { type: 'string', default: '10000000' } },
  })
  const [times, known] = [Number(values.times), Number(values.known)]
  if (!(Number.isInteger(times) && times > 0 && Number.isInteger(known) && known > 0)) {
    process.stderr.write(`usage: ${USAGE}\n`)
    process.exitCode = 2
    return
  }
  await withStack(() => benchLists(times, known))
}

await main()
