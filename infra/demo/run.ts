import { existsSync, statSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SluiceError } from '../../services/domain/errors.ts'
import { parsePolicy } from '../../services/domain/judge/policy.ts'
import { createKafka } from '../../services/platform/kafka/client.ts'
import { createRegistry } from '../../services/platform/registry.ts'
import { DATA_FOLDER, readSettings } from '../../services/platform/settings.ts'
import { type CorpusItem, makeCorpus } from './corpus.ts'
import { forgetFormerRuns, rememberRun } from './former-runs.ts'
import { listOwnPictures } from './own-pictures.ts'
import { type Result, readResult } from './result.ts'
import { compareWithExpected, explainOne, itemTables } from './show.ts'
import { CommandFailed, createSteps, type Steps } from './steps.ts'

const FOLDER = join(DATA_FOLDER, 'demo')
const LIST = 'stand-in'
const POLICY = 'infra/policy.yaml'
const OWN_POLICY = join(FOLDER, 'own-policy.yaml')

/** `run.ts [CORPUS]`: the whole way of some pictures through the gate, each step a command that anyone could type. */
async function main(corpus: string | undefined): Promise<number> {
  const own = corpus ? resolve(corpus) : null
  if (own !== null && !(existsSync(own) && statSync(own).isDirectory())) {
    throw new SluiceError('USAGE', `CORPUS names ${corpus}, which is no folder: name a folder of pictures`)
  }
  process.chdir(join(import.meta.dirname, '../..'))
  const prefix = `demo-${Date.now().toString(36)}.`
  const stores = join(FOLDER, `${prefix}stores`)
  const environment = {
    SLUICE_PREFIX: prefix,
    SLUICE_STORES: stores,
    // It starts one gate, once.
    SLUICE_SNAPSHOTS: 'off',
    SLUICE_SIGNING_KEY: join(FOLDER, 'keys', 'signing.pem'),
    SLUICE_KEYRING: join(FOLDER, 'keys', 'keyring.json'),
    SLUICE_POLICY: own === null ? POLICY : OWN_POLICY,
    SLUICE_LISTEN: '127.0.0.1:0',
    SLUICE_LOG: 'info',
  }
  const steps = createSteps(environment)
  await mkdir(FOLDER, { recursive: true })

  steps.title('The corpus')
  const { pictures, list, items } = own === null ? await standIn(steps) : await ownPictures(steps, own)

  steps.title('Kafka, the schema registry, topics, rights, schemas')
  await steps.sluice(['stack', 'up'])
  const settings = readSettings({ ...process.env, ...environment, SLUICE_PRINCIPAL: 'admin' })
  const kafka = createKafka(settings, 'sluice-demo')
  await forgetFormerRuns(FOLDER, kafka)
  await rememberRun(FOLDER, { prefix, stores })
  await steps.sluice(['topics', 'apply'], { quiet: true })
  // On somebody's own cluster they are somebody's own affair.
  if (!process.env.SLUICE_BROKERS) await steps.sluice(['access', 'apply'], { quiet: true })
  await steps.sluice(['schemas', 'register'], { quiet: true })
  if (!existsSync(environment.SLUICE_SIGNING_KEY)) await steps.sluice(['keys', 'new'])

  steps.title('The hash list, the items, the gate')
  await steps.sluice(['lists', 'import', list, '--list', LIST])
  // Of somebody's own pictures a few may have a sidecar that is wrong; that was told.
  await steps.sluice(['crawl', 'folder', pictures, '--all'], { goOnAt: 1 })
  const tally = await steps.gate()

  steps.title('What happened')
  const result = await steps.waiting('reading the topics', () => readResult(kafka, createRegistry(settings), prefix))
  const summary = summaryOf(result, tally.seconds)
  await writeFile(join(FOLDER, 'summary.json'), `${JSON.stringify(summary, null, 2)}\n`)
  steps.say(itemTables(result))
  const rate = `${result.verdicts} items in ${summary.seconds} s, ${summary.itemsPerSecond} a second`
  steps.say(`Throughput of the gate: ${rate}. Summary: ${join(FOLDER, 'summary.json')}`)
  steps.title('One held item, explained')
  steps.say(explainOne(result))
  return verdictOnRun(steps, result, items)
}

type Source = { pictures: string; list: string; items: CorpusItem[] | null }

async function standIn(steps: Steps): Promise<Source> {
  const progress = steps.counting((made) => `${made} pictures made`)
  try {
    const corpus = await makeCorpus(join(FOLDER, 'corpus'), { onProgress: progress.tell })
    steps.say(
      `Stand-in corpus in ${join(FOLDER, 'corpus')}: ${corpus.items.length} items with made-up provenance. Known, for the demo's sake,`,
    )
    steps.say('are some of the harmless photographs that they were made from; their hashes are in stand-in.csv.')
    return corpus
  } finally {
    progress.stop()
  }
}

async function ownPictures(steps: Steps, folder: string): Promise<Source> {
  const list = join(FOLDER, 'own-pictures.csv')
  const progress = steps.counting((looked) => `${looked} of your pictures hashed`)
  try {
    const { listed, every } = await listOwnPictures(folder, list, progress.tell)
    steps.say(
      `Your own pictures. For the demo's sake every ${every} of them counts as known: ${listed}, hashes in ${list}.`,
    )
    await writeFile(OWN_POLICY, withProvenanceInShadow(await readFile(POLICY, 'utf8')))
    steps.say(
      'Where they come from is hardly told: the rules for provenance run in shadow, and mark what they would hold.',
    )
    return { pictures: folder, list, items: null }
  } finally {
    progress.stop()
  }
}

/** The policy as it is, but that nothing is held for what is not known of it. */
function withProvenanceInShadow(text: string): string {
  const { policy } = parsePolicy(text, POLICY)
  // JSON is YAML.
  return JSON.stringify(policy, (key, value) => {
    if (key !== 'provenance') return value
    return JSON.parse(JSON.stringify(value).replaceAll('"enforce"', '"shadow"'))
  })
}

function summaryOf(result: Result, seconds: number) {
  const { produced, clean, quarantine, review, verdicts, envelopes, reasons } = result
  const itemsPerSecond = seconds > 0 ? Math.round((verdicts / seconds) * 10) / 10 : 0
  return {
    produced,
    clean,
    quarantine,
    review,
    verdicts,
    envelopes,
    reasons,
    seconds: Math.round(seconds * 100) / 100,
    itemsPerSecond,
  }
}

function verdictOnRun(steps: Steps, result: Result, items: CorpusItem[] | null): number {
  const { produced, clean, quarantine, review, verdicts, envelopes } = result
  const counts = `${produced} produced; ${clean} clean + ${quarantine} quarantine + ${review} review; ${verdicts} verdicts; ${envelopes} envelopes`
  const agree = new Set([produced, clean + quarantine + review, verdicts, envelopes]).size === 1
  const { wrong, missedCrops } = items === null ? { wrong: [], missedCrops: [] } : compareWithExpected(result, items)
  steps.title(agree && wrong.length === 0 ? 'Done' : 'Something is wrong')
  steps.say(agree ? `The counts agree: ${counts}.` : `The counts do not agree: ${counts}.`)
  if (items !== null) {
    const known = items.filter(({ listed }) => listed).length
    const unknown = items.filter(({ expected }) => expected === 'clean').length
    steps.say(
      wrong.length === 0
        ? `Of ${known} derivatives of listed pictures ${known - missedCrops.length} are held; all ${unknown} of others are clean.`
        : `Not where they should be:\n  ${wrong.join('\n  ')}`,
    )
    if (missedCrops.length > 0) {
      steps.say(`Not found, as may happen with crops (nine of ten must be):\n  ${missedCrops.join('\n  ')}`)
    }
  }
  steps.say('Kafka and the registry go on running; `npx sluice stack down` ends them.')
  return agree && wrong.length === 0 ? 0 : 1
}

try {
  process.exitCode = await main(process.argv[2])
} catch (error) {
  if (!(error instanceof SluiceError || error instanceof CommandFailed)) throw error
  process.stderr.write(`demo: ${error.message}\n`)
  process.exitCode = error instanceof CommandFailed ? error.exitCode : error.fault === 'usage' ? 2 : 1
}
