import { Command } from 'commander'
import { planCommand } from './plan-command.ts'
import { reportCommand } from './report-command.ts'
import { runCommand } from './run-command.ts'
import { statusCommand, stopCommand } from './status-command.ts'
import { workerCommand } from './worker-command.ts'

/** `sluice replay ...` */
export function replayCommand(): Command {
  return new Command('replay')
    .summary('put held items through the gate again')
    .description('Plans replays of held items, has them carried out, and tells what became of them.')
    .addCommand(planCommand())
    .addCommand(runCommand())
    .addCommand(statusCommand())
    .addCommand(stopCommand())
    .addCommand(reportCommand())
    .addCommand(workerCommand())
    .addHelpText('after', "\nExample:\n  sluice replay plan --reason PAYLOAD_MISSING --why 'intake was not mounted'")
}
