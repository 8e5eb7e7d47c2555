import { Command } from 'commander'
import { importCommand } from './import-command.ts'
import { statusCommand } from './status-command.ts'

/** `sluice lists ...` */
export function listsCommand(): Command {
  return new Command('lists')
    .summary('import hash lists and see what is in force')
    .description('Imports hash lists onto gate.hash-entries and shows what is in force.')
    .addCommand(importCommand())
    .addCommand(statusCommand())
    .addHelpText('after', '\nExample:\n  sluice lists import known.csv --list stand-in')
}
