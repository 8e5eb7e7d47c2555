import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { openScope } from '../integration/harness.ts'
import { openRecallBench } from '../recall/cleared.ts'
import { withStack } from './bench-stack.ts'
import { inWords, keep, spread } from './figures.ts'
import { readOptions, wholeNumber } from './options.ts'
import { recallInStages, type StageFigures } from './recall-stages.ts'

/*
 * How long it takes to hold a version's new entries against everything ever cleared, and how much memory, with 100,000, 300,000 and a million verdicts on
 * real Kafka: from the start of the command to its end. Exit code 1 when not exactly the planted items are recalled.
 */
const USAGE = 'recall.ts [--times 3] [--verdicts 1000000] [--entries 1000]'
const SHARES = [0.1, 0.3, 1]

async function once(verdicts: number, entries: number): Promise<StageFigures[]> {
  const scope = openScope('recall')
  try {
    const bench = await openRecallBench(scope, { partitions: 4 })
    const sizes = SHARES.map((share) => Math.round(verdicts * share))
    let cleared = 0
    const work = recallInStages(bench, sizes, entries, (done) => {
      cleared = done
    })
    const figures = await withProgress(`${verdicts} verdicts are written and compared`, () => work)
    scope.passed = cleared === verdicts
    return figures
  } finally {
    await scope.close()
  }
}

const options = {
  times: wholeNumber.default(3),
  verdicts: wholeNumber.default(1_000_000),
  entries: wholeNumber.default(1000),
}
const { times, verdicts, entries } = readOptions(USAGE, options)
await withStack(async () => {
  const runs: StageFigures[][] = []
  for (let time = 0; time < times; time++) runs.push(await once(verdicts, entries))
  const stages = SHARES.map((_, at) => runs.flatMap((run) => run[at] ?? []))
  const rows = stages.map((stage) => [
    stage[0]?.verdicts ?? 0,
    inWords(spread(stage.map(({ seconds }) => seconds)), 1),
    inWords(spread(stage.map(({ verdictsPerSecond }) => verdictsPerSecond)), 0),
    inWords(spread(stage.map(({ peakMebibytes }) => peakMebibytes)), 0),
  ])
  const last = stages.at(-1) ?? []
  keep(
    {
      recallVerdictsPerSecond: spread(last.map(({ verdictsPerSecond }) => verdictsPerSecond)),
      recallPeakMebibytes: spread(last.map(({ peakMebibytes }) => peakMebibytes)),
    },
    { recallRaw: { entries, stages } },
  )
  const titles = ['cleared items', 'seconds', 'items a second', 'mebibytes at most']
  process.stdout.write(`${entries} new entries each\n${asTable(titles, rows)}\n`)
})
