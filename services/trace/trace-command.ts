import { Command } from 'commander'
import { coordinatesText } from '../domain/coordinates.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { showProgress } from '../platform/progress.ts'
import { createRegistry } from '../platform/registry.ts'
import { readSettings } from '../platform/settings.ts'
import { type FoundPassages, findPassages } from './find-passages.ts'
import { printedJson, printedSections } from './printed.ts'
import { sectionsOf, toldPassage } from './told-passage.ts'
import { parseWanted } from './wanted.ts'

const help = `
An item that came through the door more than once is told each time, the newest last. The topics are read from their beginning to their end; nothing of
them is kept. URLs, uploaders, addresses, titles, captions, header values and extra values are masked unless --reveal is given; to see them at all takes
the right to read gate.envelopes. An id that begins with a dash is given behind two: sluice trace -- -a1b2. Exit code 1 when there is no such item, or
gate.envelopes may not be read.

Example:
  sluice trace folder-9d4e1f0a --reveal
`

/** `sluice trace ITEM [--reveal] [--json]`: all that is known of an item, cleared ones too. */
export function traceCommand(): Command {
  return new Command('trace')
    .summary('tell all that is known of an item')
    .description(
      'Tells the whole chain of an item: where it came from, how it was judged and why, and where its bytes are.',
    )
    .argument(
      '<item>',
      'item id, sha256 of the payload, or coordinates on the door topic: [CLUSTER/]TOPIC/PARTITION/OFFSET',
    )
    .option('--reveal', 'show what leads to content and to people')
    .option('--json', 'print one JSON object: {wanted, masked, leftOut, denied, passages}')
    .addHelpText('after', help)
    .action(async (text: string, { reveal, json }: { reveal?: true; json?: true }) => {
      const settings = readSettings()
      const wanted = parseWanted(text, prefixed(settings.prefix, DOOR))
      let read = 0
      const stopProgress = showProgress(() => `${read} records read`)
      let found: FoundPassages
      try {
        found = await findPassages({ settings, registry: createRegistry(settings) }, wanted, () => {
          read += 1
        })
      } finally {
        stopProgress()
      }
      if (json) process.stdout.write(`${asJson(text, found, reveal === true)}\n`)
      else if (found.passages.length > 0) process.stdout.write(`${asText(found, reveal === true)}\n`)
      if (found.passages.length === 0) {
        process.stderr.write(`sluice: the gate has judged nothing of that name: ${printedJson(text)}\n`)
        process.exitCode = 1
      }
      for (const topic of found.denied) process.stderr.write(`sluice: this principal may not read ${topic}\n`)
      if (found.denied.includes('gate.envelopes')) process.exitCode = 1
    })
}

function asJson(wanted: string, { passages, leftOut, denied }: FoundPassages, reveal: boolean): string {
  const told = passages.map((passage) => toldPassage(passage, reveal))
  return printedJson({ wanted, masked: !reveal, leftOut, denied, passages: told })
}

function asText({ passages, leftOut }: FoundPassages, reveal: boolean): string {
  const told = passages.map((passage, index) => {
    const place = `passage ${index + 1} of ${passages.length}: ${coordinatesText(passage.verdict.input)}`
    return `${place}\n${printedSections(sectionsOf(toldPassage(passage, reveal)))}`
  })
  return [
    ...(leftOut === 0 ? [] : [`${leftOut} older passages are not told; ask for one by its coordinates`]),
    ...told,
  ].join('\n\n')
}
