import { Command } from 'commander'
import { startListsThread } from './lists-thread.ts'
import { statusCommand } from './status-command.ts'

/** `sluice gate`: judges what is on the door until it is told to stop, or until it has caught up. */
export function gateCommand(): Command {
  return (
    new Command('gate')
      .description('Judges every item on the door topic and sends it to clean, quarantine or review.')
      // `status` has an option of the same name.
      .enablePositionalOptions()
      .addCommand(statusCommand())
      .option('--until-caught-up', 'end when everything on the door has an outcome')
      .option('--json', 'print what was judged as JSON')
      .addHelpText(
        'after',
        '\nSIGTERM and Ctrl-C finish the current chunk and commit, for a minute at most; a second one ends at once.\n\nExample:\n  sluice gate --until-caught-up --json\n  sluice gate status',
      )
      .action(async (options: { untilCaughtUp?: true; json?: true }) => {
        // Its first thing is to load code, as is the gate's own: both at once.
        const thread = startListsThread()
        const { runGate } = await import('./run-gate.ts')
        await runGate(options, thread)
      })
  )
}
