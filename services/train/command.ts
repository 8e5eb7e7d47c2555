import { Command } from 'commander'
import { checkCommand } from './check-command.ts'
import { exportCommand } from './export-command.ts'
import { recallsCommand } from './recalls-command.ts'
import { redactCommand } from './redact-command.ts'
import { verifyCommand } from './verify-command.ts'

/** `sluice train ...` */
export function trainCommand(): Command {
  return new Command('train')
    .summary('export what was cleared, and prove what an export holds')
    .description('Reads what was cleared, proves it, and exports it; what was recalled since is taken out again.')
    .addCommand(checkCommand())
    .addCommand(exportCommand())
    .addCommand(redactCommand())
    .addCommand(verifyCommand())
    .addCommand(recallsCommand())
    .addHelpText('after', '\nExample:\n  sluice train export datasets/boats')
}
