import { Command } from 'commander'
import { importCommand } from './import-command.ts'
import { planCommand } from './plan-command.ts'
import { rollbackCommand } from './rollback-command.ts'
import { enforceCommand, shadowCommand } from './shadow-command.ts'
import { statusCommand } from './status-command.ts'
import { syncCommand } from './sync-command.ts'
import { versionsCommand } from './versions-command.ts'

/** `sluice lists ...` */
export function listsCommand(): Command {
  return new Command('lists')
    .summary('import hash lists, see what is in force, go back')
    .description(
      'Brings hash lists onto gate.hash-entries, from files or exchanges, shows what is in force and what was, and goes back to it.',
    )
    .addCommand(importCommand())
    .addCommand(syncCommand())
    .addCommand(planCommand())
    .addCommand(statusCommand())
    .addCommand(versionsCommand())
    .addCommand(rollbackCommand())
    .addCommand(shadowCommand())
    .addCommand(enforceCommand())
    .addHelpText('after', '\nExample:\n  sluice lists import known.csv --list stand-in')
}
