import { once } from 'node:events'
import { Command } from 'commander'
import { readSettings } from '../platform/settings.ts'
import { readRecalls, recallLines } from './dataset/recall-file.ts'

/** `sluice train recalls`. */
export function recallsCommand(): Command {
  return new Command('recalls')
    .summary('print what was recalled, for those who have no Kafka')
    .description('Prints JSON lines: up to where gate.recalls was read, then the sha256 and state of each recall.')
    .addHelpText('after', '\nExample:\n  sluice train recalls > recalls.jsonl')
    .action(async () => {
      for (const line of recallLines(await readRecalls(readSettings(), Date.now()))) {
        if (!process.stdout.write(line)) await once(process.stdout, 'drain')
      }
    })
}
