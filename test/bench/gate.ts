import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { withProgress } from '../../services/platform/progress.ts'
import { asTable } from '../../services/platform/table.ts'
import { openScope } from '../integration/harness.ts'
import { withStack } from './bench-stack.ts'
import { chooseLayouts, type Decoding, decodeAlone, decodingNames, decodings, type Layout } from './decode-alone.ts'
import { inWords, keep, type Spread, spread } from './figures.ts'
import {
  findWrong,
  firstOf,
  knownRows,
  makePictures,
  type Pictures,
  pictureOf,
  plantedIn,
  produceRound,
  type Round,
  SIZE,
  type Way,
} from './gate-items.ts'
import { type GatePlace, openGatePlace, runGates, type Turn, wholeMachine } from './gate-run.ts'
import { bottleneck, costTable } from './gate-table.ts'
import { flag, readOptions, wholeNumber } from './options.ts'
import { openPythonGate, type PythonGate, type PythonWay, pythonNames, pythonWays } from './python-gate.ts'

/*
 * The whole gate on real Kafka against decoding alone, and against a gate in Python: the same pictures on the same cores, by turns in one run; and
 * what an item costs, and where. Exit code 1 when the gate does not hold what is planted, or anything else.
 */
const USAGE = 'gate.ts [--times 5] [--known 1000000] [--items 6000] [--python]'

/** Lanes enough for a Python process on each core, and as many as there usually are. */
const PARTITIONS = Math.max(4, availableParallelism())
/** Files that are decoded alone, at most: a few seconds are enough, where there is nothing to start. */
const DECODED = 1000
/** Python gets the first part of a round: it has read its list before, and takes its time. */
const PYTHON_SHARE = 1 / 4

/** A gate's turn, and pictures a second decoded alone: the mean of just before it and just after. */
type Against = { turn: Turn; alone: Record<Decoding, number> }
type Repetition = Record<Way, Against> & { python: Record<PythonWay, number> | null }

/** What all repetitions share. */
type Run = {
  place: GatePlace
  pictures: Pictures
  items: number
  files: readonly string[]
  layouts: Record<Decoding, Layout>
  /** all that was put on the door so far */
  rounds: Round[]
}

async function repeat(run: Run, time: number, python: PythonGate | null): Promise<Repetition> {
  const inline = await turnOf(run, time, 'inline')
  const found = python === null ? null : await askPython(python, firstOf(inline.round, run.items * PYTHON_SHARE))
  const referenced = await turnOf(run, time, 'by reference')
  return { inline, 'by reference': referenced, python: found }
}

async function turnOf(run: Run, time: number, way: Way): Promise<Against & { round: Round }> {
  const { place, pictures, items } = run
  const round = await withProgress(`${items} items go onto the door, ${way}`, () =>
    produceRound(place.bench, place.admin, pictures, { name: `${time}-${way.slice(0, 2)}`, items, way }),
  )
  run.rounds.push(round)
  const before = await decodeBoth(run)
  const turn = await withProgress(`the gate judges ${items} items, ${way}`, () =>
    runGates(place, round, [wholeMachine]),
  )
  const after = await decodeBoth(run)
  const mean = (decoding: Decoding): number => (before[decoding] + after[decoding]) / 2
  return { round, turn, alone: { plain: mean('plain'), own: mean('own') } }
}

async function decodeBoth({ files, layouts }: Run): Promise<Record<Decoding, number>> {
  const plain = await decodeAlone(files, 'plain', layouts.plain)
  return { plain, own: await decodeAlone(files, 'own', layouts.own) }
}

async function askPython(python: PythonGate, round: Round): Promise<Record<PythonWay, number>> {
  const ask = (way: PythonWay) =>
    withProgress(`${pythonNames[way]}: ${round.items} of these items`, () => python.run(round, way))
  const full = await ask('full')
  if (full.held !== plantedIn(round)) throw new Error(`Python has held ${full.held} of ${plantedIn(round)} items`)
  return { full: full.perSecond, shrunk: (await ask('shrunk')).perSecond }
}

/** @returns whether everything was judged as it should be */
async function benchGate(
  times: number,
  known: number,
  items: number,
  withPython: boolean,
  broker: number | null,
): Promise<boolean> {
  const scope = openScope('gate')
  try {
    const place = await openGatePlace(scope, broker, { partitions: PARTITIONS })
    const pictures = await makePictures()
    await withProgress(`${known} entries go onto the topic`, () =>
      place.bench.importList('stand-in', knownRows(pictures, known)),
    )
    const python = withPython ? await openPythonGate(place, pictures, known) : null
    const files = await writeFiles(place.bench.folder, pictures, Math.min(items, DECODED))
    const layouts = await withProgress('layouts of decoding alone are tried', () => chooseLayouts(files))
    const run: Run = { place, pictures, items, files, layouts, rounds: [] }
    const repetitions: Repetition[] = []
    for (let time = 0; time < times; time++) {
      const repetition = await repeat(run, time, python)
      repetitions.push(repetition)
      process.stderr.write(`${time + 1} of ${times}, pictures a second: ${inShort(repetition)}\n`)
    }
    await python?.close()
    keepFigures(run, known, repetitions)
    tell(run, known, repetitions)
    const wrong = await withProgress('everything is counted', () => findWrong(place.bench, run.rounds))
    if (wrong !== null) process.stderr.write(`not what was expected: ${wrong}\n`)
    scope.passed = wrong === null
    return scope.passed
  } finally {
    await scope.close()
  }
}

async function writeFiles(folder: string, pictures: Pictures, number: number): Promise<string[]> {
  return await Promise.all(
    Array.from({ length: number }, async (_, n) => {
      const file = join(folder, `${n}.jpg`)
      await writeFile(file, pictureOf(pictures, n))
      return file
    }),
  )
}

function inShort({ inline, 'by reference': referenced, python }: Repetition): string {
  const rates = {
    inline: inline.turn.perSecond,
    'by reference': referenced.turn.perSecond,
    ...inline.alone,
    ...(python === null ? {} : { Python: python.full, 'Python shrunk': python.shrunk }),
  }
  return Object.entries(rates)
    .map(([what, rate]) => `${what} ${rate.toFixed(0)}`)
    .join(', ')
}

/** How many times as fast as something the gate is. */
function ratio(repetitions: readonly Repetition[], way: Way, of: (repetition: Repetition) => number): Spread {
  return spread(repetitions.map((each) => each[way].turn.perSecond / of(each)))
}

function keepFigures(run: Run, known: number, repetitions: readonly Repetition[]): void {
  const millions = `${known / 1_000_000}m`
  const toDecode = (way: Way, decoding: Decoding) => ratio(repetitions, way, (each) => each[way].alone[decoding])
  const toPython = (way: PythonWay) => ratio(repetitions, 'inline', ({ python }) => python?.[way] ?? Number.NaN)
  const withPython = repetitions.some(({ python }) => python !== null)
  keep(
    {
      [`gateVsDecode${millions}`]: toDecode('inline', 'plain'),
      [`gateVsDecode${millions}ByReference`]: toDecode('by reference', 'plain'),
      [`gateVsOwnDecode${millions}`]: toDecode('inline', 'own'),
      [`gateVsOwnDecode${millions}ByReference`]: toDecode('by reference', 'own'),
      ...(withPython
        ? { [`gateVsPython${millions}`]: toPython('full'), [`gateVsPythonShrunk${millions}`]: toPython('shrunk') }
        : {}),
    },
    { [`gate${millions}Raw`]: { input: inputOf(run, known), layouts: run.layouts, repetitions } },
  )
}

function inputOf({ pictures, items }: Run, known: number): string {
  const size = `${SIZE.width}x${SIZE.height}, ${Math.round(pictures.bytes / 1024)} KiB`
  return `${items} JPEGs of ${size}, ${PARTITIONS} partitions, ${known} known`
}

function tell(run: Run, known: number, repetitions: readonly Repetition[]): void {
  const rates = (of: (repetition: Repetition) => number): string => inWords(spread(repetitions.map(of)), 0)
  const rows = [
    ['the gate, inline', rates(({ inline }) => inline.turn.perSecond), '', ''],
    ['the gate, by reference', rates((each) => each['by reference'].turn.perSecond), '', ''],
    ...decodings.map((decoding) => [
      `${decodingNames[decoding]}, ${layoutInWords(run.layouts[decoding])}`,
      rates(({ inline }) => inline.alone[decoding]),
      inWords(
        ratio(repetitions, 'inline', ({ inline }) => inline.alone[decoding]),
        2,
      ),
      inWords(
        ratio(repetitions, 'by reference', (each) => each['by reference'].alone[decoding]),
        2,
      ),
    ]),
    ...(repetitions.some(({ python }) => python !== null)
      ? pythonWays.map((way) => {
          const of = ({ python }: Repetition): number => python?.[way] ?? Number.NaN
          const digits = inWords(ratio(repetitions, 'inline', of), 1)
          return [`${pythonNames[way]}, ${availableParallelism()} processes`, rates(of), digits, '']
        })
      : []),
  ]
  const turnsOf = (way: Way): Turn[] => repetitions.map((each) => each[way].turn)
  const head = [
    'pictures a second',
    'median (least to most)',
    'inline, the gate is so many times as fast',
    'by reference',
  ]
  const columns = { inline: turnsOf('inline'), 'by reference': turnsOf('by reference') }
  process.stdout.write(
    `${inputOf(run, known)}\n${asTable(head, rows)}\n${costTable(columns)}\n${bottleneck(columns.inline)}\n`,
  )
}

function layoutInWords({ processes, atOnce }: Layout): string {
  return `${processes} processes, ${atOnce} at once`
}

const { times, known, items, python } = readOptions(USAGE, {
  times: wholeNumber.default(5),
  known: wholeNumber.default(1_000_000),
  items: wholeNumber.default(6000),
  python: flag,
})
await withStack(async (broker) => {
  if (!(await benchGate(times, known, items, python, broker))) process.exitCode = 1
})
