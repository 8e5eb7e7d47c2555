import { Command } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { shardName } from './dataset/dataset.ts'
import { readRecallFile, readRecalls } from './dataset/recall-file.ts'
import { redactDataset } from './dataset/redact.ts'

/** `sluice train redact DIR`. */
export function redactCommand(): Command {
  return new Command('redact')
    .summary('take out of an export what was recalled since')
    .description(
      'Writes each shard that holds recalled items anew without them, and beside the dataset what was taken out and why. One that was cut off is finished\n' +
        'by calling it again. An export that was cut off stays unfinished: `sluice train export` goes on with it.',
    )
    .argument('<dir>', 'folder of the dataset')
    .option('--recalls <file>', 'as `sluice train recalls` has printed it; default: gate.recalls itself')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice train redact datasets/boats')
    .action(async (folder: string, { recalls: file, json }: { recalls?: string; json?: true }) => {
      let progress = 'reading what was recalled'
      const stop = showProgress(() => progress)
      const work = async () => {
        const recalls = file === undefined ? await readRecalls(readSettings(), Date.now()) : await readRecallFile(file)
        return await redactDataset(folder, recalls, (done, all) => {
          progress = `${done} of ${all} shards`
        })
      }
      const report = await work().finally(stop)
      if (json) return void process.stdout.write(`${JSON.stringify(report)}\n`)
      const rows = report.shards.map(({ shard, items }) => [shardName(shard), items])
      if (rows.length > 0) process.stdout.write(`${asTable(['shard', 'items taken out'], rows)}\n`)
      process.stdout.write(`${report.items} items were recalled since; ${report.before} had been taken out before\n`)
      if (report.isComplete) return
      process.stdout.write(
        `The export has not come to its end, and the dataset is not whole: \`sluice train export ${folder}\` finishes it\n`,
      )
    })
}
