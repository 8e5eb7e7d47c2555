import { Command } from 'commander'
import { gcCommand } from './gc-command.ts'

/** `sluice store`. */
export function storeCommand(): Command {
  return new Command('store')
    .summary('find what the stores keep needlessly')
    .description('The stores: what lies in them, and what nothing refers to.')
    .addHelpText('after', '\nExample:\n  sluice store gc --dry-run')
    .addCommand(gcCommand())
}
