import { readFileSync, statSync } from 'node:fs'
import { basename, extname } from 'node:path'
import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { judge } from '../domain/judge/judge.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { buildMatchIndex, type MatchIndex } from '../domain/match/match-index.ts'
import type { ItemFault } from '../domain/reasons.ts'
import type { Match, Signal } from '../domain/records.ts'
import { readHashListFile } from '../platform/hash-list-file.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { policyFile } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { createScanners, type Scanners, scannerMemory } from './inspect/scanners.ts'
import { digest } from './payload.ts'

/** What `sluice inspect` says of a file; digests and hashes in lower-case hex. */
type Report = {
  file: string
  mediaType: string | null
  signals: Array<Omit<Signal, 'value'> & { value: string }>
  verdict: string
  reasons: string[]
  matches: Match[]
}

/** `sluice inspect`: every signal of some files, and what policy would say, without Kafka. */
export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Hashes files as the gate would and says what policy would make of them. Needs no Kafka.')
    .argument('<file...>', 'files to look at')
    .option('--against <list.csv>', 'hash list to match with: a CSV file as for `sluice lists import`')
    .option('--json', 'print one JSON object a file')
    .addHelpText('after', '\nExample:\n  sluice inspect picture.jpg --against known.csv')
    .action(runInspect)
}

async function runInspect(files: string[], options: { against?: string; json?: true }): Promise<void> {
  const { policy } = readPolicy(policyFile())
  const unreadable = files.find((file) => !statSync(file, { throwIfNoEntry: false })?.isFile())
  if (unreadable !== undefined) throw new SluiceError('USAGE', `${unreadable}: expected a file that can be read`)
  const index = await indexOf(options.against)
  const scanners = createScanners({ size: 1, memoryBytes: scannerMemory(policy.limits), onRestart: () => undefined })
  try {
    for (const file of files) {
      const report = await inspectFile(file, policy, index, scanners)
      process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : `${asText(report)}\n`)
    }
  } finally {
    await scanners.close()
  }
}

/** The file's name stands for the list's, so that policy may speak of it: by hand there is no import that would have named it. */
async function indexOf(file: string | undefined): Promise<MatchIndex> {
  if (file === undefined) return buildMatchIndex([])
  const list = basename(file, extname(file))
  const { entries } = await readHashListFile(file, list)
  return buildMatchIndex([{ list, version: 'file', digest: '', checkedAt: 0, shadowed: [], entries }])
}

async function inspectFile(file: string, policy: Policy, index: MatchIndex, scanners: Scanners): Promise<Report> {
  const faults: ItemFault[] = []
  const signals: Signal[] = []
  let mediaType: string | null = null
  if (statSync(file).size > policy.limits.payloadBytes) faults.push('PAYLOAD_TOO_LARGE')
  else {
    const payload = digest(readFileSync(file))
    const { pixels, frames, scanSeconds } = policy.limits
    const inspection = await scanners.inspect(payload.bytes, { pixels, frames, seconds: scanSeconds })
    mediaType = inspection.mediaType
    faults.push(...inspection.faults)
    signals.push(...inspection.fingerprint, ...payload.signals)
  }
  // A file by hand has no envelope to ask for.
  const { outcome, reasons, matches } = judge({
    faults,
    matches: index.match(signals, policy.pdq),
    envelope: null,
    policy,
  })
  return {
    file,
    mediaType,
    signals: signals.map((signal) => ({ ...signal, value: signal.value.toString('hex') })),
    verdict: outcome,
    reasons,
    matches,
  }
}

function asText({ file, mediaType, signals, verdict, reasons, matches }: Report): string {
  const why = reasons.length === 0 ? '' : ` (${reasons.join(', ')})`
  const hashes = asTable(
    ['signal', 'quality', 'frame', 'transform', 'value'],
    signals.map(({ signal, quality, frame, transform, value }) => [signal, quality, frame, transform, value]),
  )
  const found = asTable(
    ['list', 'entry', 'signal', 'class', 'distance', 'frame', 'transform'],
    matches.map((match) => [
      match.list,
      match.entry,
      match.signal,
      match.class,
      match.distance,
      match.frame,
      match.transform,
    ]),
  )
  return `${file}: ${mediaType ?? 'unknown media type'}: ${verdict}${why}\n${hashes}${matches.length === 0 ? '' : `\n${found}`}`
}
