import { Command } from 'commander'
import { runCommand } from './run-command.ts'
import { showCommand } from './show-command.ts'
import { statusCommand } from './status-command.ts'

/** `sluice recall ...` */
export function recallCommand(): Command {
  return new Command('recall')
    .summary('hold new list versions against everything ever cleared')
    .description('Recalls what was cleared and is known by now, and takes recalls back whose entries are gone.')
    .addCommand(statusCommand())
    .addCommand(runCommand())
    .addCommand(showCommand())
    .addHelpText('after', '\nExample:\n  sluice recall run')
}
