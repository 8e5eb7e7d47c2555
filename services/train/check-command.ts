import { Command } from 'commander'
import { showProgress } from '../platform/progress.ts'
import { readSettings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { openCleanReader } from './read-clean.ts'

/** `sluice train check`: what a training job would be handed, and whether all of it is proven. */
export function checkCommand(): Command {
  return new Command('check')
    .summary('prove all that is cleared, without handing it out')
    .description(
      'Reads the clean topic as training does: receipts, recalls, and the bytes in the clean store. Exit code 1 at the first item that does not hold.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice train check')
    .action(async ({ json }: { json?: true }) => {
      const reader = await openCleanReader(readSettings())
      const stop = showProgress(() => `${reader.counts().handed} items proven`)
      try {
        for await (const _ of reader.items());
      } finally {
        stop()
        await reader.close()
      }
      const { handed, bytes, recalled, repeated } = reader.counts()
      const rows: Array<[string, number]> = [
        ['proven', handed],
        ['  bytes', bytes],
        ['recalled, left out', recalled],
        ['came again, left out', repeated],
      ]
      process.stdout.write(
        `${json ? JSON.stringify({ ...reader.counts(), snapshot: reader.snapshot }) : asTable(['cleared', ''], rows)}\n`,
      )
    })
}
