import { Command } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { timeText } from '../domain/time-text.ts'
import { readKeyring } from '../platform/keyring-file.ts'
import { showProgress } from '../platform/progress.ts'
import { readSigningKey } from '../platform/signing-key.ts'
import { asTable } from '../platform/table.ts'
import { visible } from '../platform/visible.ts'
import { writeDurably } from '../platform/write-durably.ts'
import { attest } from './dataset/attest.ts'
import { type RecallsHead, readRecallFile } from './dataset/recall-file.ts'
import { type Problem, type Verified, verifyDataset } from './dataset/verify.ts'

/** Problems that stand in one JSON object, at most; all are counted. */
const MOST_LISTED = 10_000

type Options = { keyring: string; recalls?: string; attest?: string; signingKey?: string; json?: true }

/** `sluice train verify DIR`. */
export function verifyCommand(): Command {
  return new Command('verify')
    .summary('prove what an export holds, offline')
    .description(
      'Reads every byte of a dataset and believes none: receipts against the keyring, digests, names, manifests, descriptions, recalls. Needs no Kafka.',
    )
    .argument('<dir>', 'folder of the dataset')
    .requiredOption('--keyring <file>', 'the public keys that you trust, from the one who runs the gate')
    .option(
      '--recalls <file>',
      'what was recalled, as `sluice train recalls` has printed it since, on the cluster of the items',
    )
    .option('--attest <file>', 'when everything holds, write an in-toto statement about it, in DSSE')
    .option('--signing-key <file>', 'your private key for that (Ed25519, PKCS #8 in PEM)')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExit code 1 when something does not hold.\n\nExample:\n  sluice train verify datasets/boats --keyring keyring.json --recalls recalls.jsonl',
    )
    .action(async (folder: string, { keyring, recalls: file, attest: statement, signingKey, json }: Options) => {
      if ((statement === undefined) !== (signingKey === undefined)) {
        throw new SluiceError('USAGE', '--attest and --signing-key go together: name both or none')
      }
      const key = signingKey === undefined ? null : readSigningKey(signingKey)
      const recalls = file === undefined ? null : await readRecallFile(file)
      const listed: Problem[] = []
      let progress = 'reading'
      const stop = showProgress(() => progress)
      const verified = await verifyDataset(folder, {
        keyring: readKeyring(keyring),
        recalls,
        onProblem(problem) {
          if (!json) process.stdout.write(`${problemLine(problem)}\n`)
          else if (listed.length < MOST_LISTED) listed.push(problem)
        },
        onProgress(items, shard) {
          progress = `${items} items, shard ${shard}`
        },
      }).finally(stop)
      if (verified.problems > 0) process.exitCode = 1
      else if (key !== null && statement !== undefined) {
        await writeDurably(statement, `${attest(verified, recalls?.head ?? null, key, Date.now())}\n`)
      }
      const { problems, files: _, ...told } = verified
      const object = { ...told, problems: listed, problemCount: problems, recallsKnown: recalls?.head ?? null }
      process.stdout.write(
        json ? `${visible(JSON.stringify(object))}\n` : `${asText(verified, recalls?.head ?? null)}\n`,
      )
    })
}

/** File names and ids may be a stranger's. */
function problemLine({ code, file, key, id, detail }: Problem): string {
  const place = [file, key, id === null ? null : `item ${id}`].filter((part) => part !== null).join(', ')
  return visible(`${code}  ${place}: ${detail}`)
}

function asText({ items, holding, problems, redacted, sums }: Verified, recalls: RecallsHead | null): string {
  const head = ['items', 'hold', 'problems', 'taken out before', 'keys', 'policies', 'engine versions']
  const row = [items, holding, problems, redacted]
  const versions = sums.engineVersions.map(({ value }) => value).join(', ')
  const lines = [asTable(head, [[...row, sums.keyIds.length, sums.policyHashes.length, visible(versions)]])]
  lines.push(
    recalls === null
      ? 'Whether anything was recalled was not asked: name a file by --recalls.'
      : visible(`Recalls of ${recalls.topic} on cluster ${recalls.cluster}, as of ${timeText(recalls.readAt)}.`),
  )
  lines.push(problems === 0 ? 'Everything in it holds.' : 'Do not train on it: something in it does not hold.')
  return lines.join('\n')
}
