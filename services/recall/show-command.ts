import { Command } from 'commander'
import { coordinatesText, isNamed, parseCoordinates } from '../domain/coordinates.ts'
import { SluiceError } from '../domain/errors.ts'
import { isRecalled } from '../domain/recall.ts'
import type { Match, RecallRecord, VerdictRecord } from '../domain/records.ts'
import { timeText } from '../domain/time-text.ts'
import { createKafka } from '../platform/kafka/client.ts'
import type { FollowedRecord } from '../platform/kafka/follow-topic.ts'
import { readTopic } from '../platform/kafka/read-topic.ts'
import { createRegistry, type Registry } from '../platform/registry.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { openStore } from '../platform/stores/open-store.ts'
import { isReference } from '../platform/stores/store.ts'
import { visible, visibleLines } from '../platform/visible.ts'
import { readRecalls } from './recalls.ts'

/** As many of a payload's items are told. */
const MOST_ITEMS = 1000

/** A recall with all that belongs to it. */
type Story = RecallRecord & {
  /** every item that was cleared with this payload, in the order of gate.verdicts */
  items: Array<Pick<VerdictRecord, 'input' | 'itemId' | 'judgedAt' | 'listVersions'>>
  itemsLeftOut: number
  /** the stores that have the object; null where they can't be asked */
  stores: Array<'clean' | 'held'> | null
}

const help = `
The payload may have come under several items: all that were cleared are told, by their coordinates, with which \`sluice trace\` tells where each came from.
Exit code 1 when nothing of that name was recalled.

Example:
  sluice recall show crawl.items/2/51034`

/** `sluice recall show`: one recall's whole story. */
export function showCommand(): Command {
  return new Command('show')
    .summary('tell all about one recall')
    .description('Tells what was recalled, by which entries of which lists, when, and where the object is.')
    .argument('<recall>', 'sha256 of the payload, or coordinates of one of its items on the door topic')
    .option('--json', 'print one JSON object')
    .addHelpText('after', help)
    .action(async (name: string, { json }: { json?: true }) => {
      const settings = readSettings()
      const story = await findStory(settings, createRegistry(settings), name)
      if (story === null) {
        process.stderr.write(`sluice: nothing of that name was recalled: ${visible(name)}\n`)
        process.exitCode = 1
        return
      }
      process.stdout.write(`${json ? visible(JSON.stringify(story)) : visibleLines(inWords(story))}\n`)
    })
}

/** @throws {SluiceError} USAGE for a name that is neither */
async function findStory(settings: Settings, registry: Registry, name: string): Promise<Story | null> {
  const sha256 = isReference(name.toLowerCase()) ? name.toLowerCase() : null
  const coordinates = sha256 === null ? parseCoordinates(name) : null
  if (sha256 === null && coordinates === null) {
    throw new SluiceError('USAGE', 'expected a sha256 (64 hex digits) or coordinates (TOPIC/PARTITION/OFFSET)')
  }
  const recalls = await readRecalls(settings, registry)
  let wanted = sha256
  if (coordinates !== null) {
    await readVerdicts(
      settings,
      registry,
      ({ partition }) => partition === coordinates.partition,
      ({ input, sha256 }) => {
        if (isNamed(input, coordinates)) wanted = sha256
      },
    )
  }
  const recall = wanted === null ? undefined : recalls.get(wanted)
  if (recall === undefined) return null
  const story: Story = { ...recall, items: [], itemsLeftOut: 0, stores: await storesOf(settings, recall.sha256) }
  await readVerdicts(
    settings,
    registry,
    ({ value }) => value?.includes(recall.sha256) === true,
    ({ outcome, sha256, input, itemId, judgedAt, listVersions }) => {
      if (outcome !== 'clean' || sha256 !== recall.sha256) return
      if (story.items.length < MOST_ITEMS) story.items.push({ input, itemId, judgedAt, listVersions })
      else story.itemsLeftOut += 1
    },
  )
  return story
}

function readVerdicts(
  settings: Settings,
  registry: Registry,
  isWanted: (record: FollowedRecord) => boolean,
  onVerdict: (verdict: VerdictRecord) => void,
): Promise<void> {
  return readTopic<VerdictRecord>({
    kafka: createKafka(settings, 'sluice-recall'),
    registry,
    prefix: settings.prefix,
    topic: 'gate.verdicts',
    isWanted,
    onValue: onVerdict,
  })
}

async function storesOf(settings: Settings, sha256: string): Promise<Story['stores']> {
  try {
    const names = ['clean', 'held'] as const
    const found = await Promise.all(names.map(async (name) => await (await openStore(settings, name)).has(sha256)))
    return names.filter((_, at) => found[at])
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'STORE_UNREACHABLE') return null
    throw error
  }
}

function inWords(story: Story): string {
  const { sha256, state, recalledAt, acceptedBy, acceptedReason, matches, items, itemsLeftOut, stores } = story
  const where =
    stores === null
      ? 'the stores can not be asked'
      : stores.map((name) => `${name} store`).join(', ') || 'in neither store'
  return [
    `${state} ${sha256}, at ${timeText(recalledAt)}`,
    ...(isRecalled(story) ? [] : ['  comes back only through the door: `sluice replay plan --withdrawn`']),
    ...(acceptedBy === null ? [] : [`  accepted by ${acceptedBy}: ${acceptedReason}`]),
    ...matches.map((match) => `  ${isRecalled(story) ? 'held' : 'was held'} by ${matchText(match)}`),
    `  object: ${where}`,
    ...items.map(({ input, itemId, judgedAt, listVersions }) => {
      const lists = listVersions.map(({ list, version }) => `${list} ${version}`).join(', ')
      return `  item ${itemId ?? 'without id'}, ${coordinatesText(input)}, cleared at ${timeText(judgedAt)} by ${lists}`
    }),
    ...(itemsLeftOut === 0 ? [] : [`  and ${itemsLeftOut} further items`]),
  ].join('\n')
}

function matchText({ list, listVersion, entry, signal, distance, transform, frame, class: name }: Match): string {
  return `entry ${entry} of list ${list}, version ${listVersion}: ${name}, ${signal} at distance ${distance}, frame ${frame}, ${transform}`
}
