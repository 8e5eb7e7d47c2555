import { Command } from 'commander'
import { checkCommand } from './check-command.ts'

/** `sluice train check`. */
export function trainCommand(): Command {
  return new Command('train')
    .summary('read what is cleared, and prove it')
    .description('What training reads: cleared items, each proven by its receipt and its bytes.')
    .addHelpText('after', '\nExample:\n  sluice train check')
    .addCommand(checkCommand())
}
