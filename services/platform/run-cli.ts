import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, CommanderError } from 'commander'
import { SluiceError } from '../domain/errors.ts'
import { principalOf } from '../domain/principals.ts'
import { codeOf } from './error-code.ts'
import { settingsHelp } from './settings.ts'
import { visibleLines } from './visible.ts'

export type CommandTable = Record<string, { summary: string; load: () => Promise<Command> }>

/** Exit codes: the work is done; problems were found; the command was used wrongly. */
const PROBLEMS = 1
const WRONG_USE = 2

/**
 * Runs the command that the process was called with and sets the exit code: 0 done, 1 found problems, 2 wrong use (wrong
 * words, settings or files). Errors are one sentence on stderr.
 */
export async function runCli(table: CommandTable): Promise<void> {
  const program = new Command('sluice')
    .description('The gate between crawlers and a training store.')
    .version(version())
    .addHelpText('after', `\nSettings (environment):\n${settingsText()}\n\nExample:\n  sluice gate --until-caught-up`)
  const words = process.argv.slice(2).filter((word) => !word.startsWith('-'))
  const [name] = words
  const principal = principalOf(words)
  // For its settings, and for whatever it starts.
  if (principal !== null) process.env.SLUICE_PRINCIPAL ||= principal
  for (const [word, entry] of Object.entries(table)) {
    if (word === name) program.addCommand(await entry.load())
    else program.addCommand(new Command(word).summary(entry.summary).description(entry.summary))
  }
  prepare(program)
  // Who pipes into `head` has seen enough.
  process.stdout.on('error', (error) => {
    if (codeOf(error) !== 'EPIPE') throw error
    process.exit(PROBLEMS)
  })
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = report(error)
  }
}

/**
 * Commander ends the process by itself unless each command is told to throw. Options behind a command's word are that command's, also where
 * its own subcommands have the same.
 */
function prepare(command: Command): void {
  command.enablePositionalOptions()
  command.exitOverride()
  command.showSuggestionAfterError()
  command.configureOutput({ outputError: () => undefined })
  for (const inner of command.commands) prepare(inner)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0
    // Called without a subcommand: commander has printed the help.
    if (error.code !== 'commander.help') complain(`${error.message.replace(/^error: /, '')}; see --help`)
    return WRONG_USE
  }
  if (error instanceof SluiceError) {
    complain(`${error.message} [${error.code}]`)
    return error.fault === 'usage' ? WRONG_USE : PROBLEMS
  }
  complain(error instanceof Error ? (error.stack ?? error.message) : String(error))
  return PROBLEMS
}

/** Names of files and columns, which strangers may have chosen, are part of it. */
function complain(sentence: string): void {
  process.stderr.write(`sluice: ${visibleLines(sentence)}\n`)
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')
  const { version: found }: { version: string } = JSON.parse(text)
  return found
}

function settingsText(): string {
  return settingsHelp.map(({ name, meaning }) => `  ${name.padEnd(28)} ${meaning}`).join('\n')
}
