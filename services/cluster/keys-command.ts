import { Command, InvalidArgumentError } from 'commander'
import { timeText } from '../domain/time-text.ts'
import { keyFiles } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import { listKeys, newKey, revokeKey, rotateKeys } from './keys.ts'

const HOUR_MS = 3_600_000
/** A year: who wants longer does not want to rotate. */
const LONGEST_HOURS = 8760

/** `sluice keys new|list|rotate|revoke`. */
export function keysCommand(): Command {
  const keys = new Command('keys')
    .summary('make, rotate and revoke the keys that receipts are signed with')
    .description(
      'The gate signs for each item that it clears. Its private key never leaves its machine; readers have a copy of the keyring.',
    )
    .addHelpText('after', '\nExample:\n  sluice keys new')

  keys
    .command('new')
    .description('make the first key, or the next one, which waits on the keyring until it is put in use')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice keys new')
    .action(async ({ json }: { json?: true }) => {
      const files = keyFiles()
      const made = await newKey(files, Date.now())
      const sentence =
        made.state === 'next'
          ? `the key ${made.id} waits: copy ${files.keyring} to all readers, then run \`sluice keys rotate\``
          : `receipts are signed with the key ${made.id}; give a copy of ${files.keyring} to each reader`
      process.stdout.write(`${json ? JSON.stringify(made) : sentence}\n`)
    })

  keys
    .command('list')
    .description('all keys there ever were; exit code 1 when none is in use')
    .option('--json', 'print one JSON array')
    .addHelpText('after', '\nExample:\n  sluice keys list')
    .action(({ json }: { json?: true }) => {
      const found = listKeys(keyFiles(), Date.now())
      const rows = found.map(({ id, state, from, until, revoked }) => [
        id,
        state,
        timeText(from),
        until === null ? '' : timeText(until),
        revoked === null ? '' : `${timeText(revoked.at)}: ${revoked.why}`,
      ])
      process.stdout.write(
        `${json ? JSON.stringify(found) : asTable(['key', 'state', 'counts from', 'until', 'revoked'], rows)}\n`,
      )
      if (!found.some(({ state }) => state === 'in use')) process.exitCode = 1
    })

  keys
    .command('rotate')
    .description('put the key that waits in use, and retire the one before it; gates change by themselves')
    .option('--overlap <hours>', `for how long what the old key signs still counts, up to ${LONGEST_HOURS}`, hours, 1)
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice keys rotate')
    .action(async ({ overlap, json }: { overlap: number; json?: true }) => {
      const done = await rotateKeys(keyFiles(), Math.round(overlap * HOUR_MS), Date.now())
      const sentence = `receipts are signed with the key ${done.id}; what ${done.retired} signs counts until ${timeText(done.until)}`
      process.stdout.write(`${json ? JSON.stringify(done) : sentence}\n`)
    })

  keys
    .command('revoke <key>')
    .description('take a key back: nothing that it ever signed holds any more, where a reader has the keyring')
    .requiredOption('--why <text>', 'for those who come later')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  sluice keys revoke 3f2a --why "its machine was broken into"')
    .action(async (key: string, { why, json }: { why: string; json?: true }) => {
      const files = keyFiles()
      const done = await revokeKey(files, key, why, Date.now())
      const sentence = `${done.id} is revoked: copy ${files.keyring} to all readers now; gates that sign with it wait for another one`
      process.stdout.write(`${json ? JSON.stringify(done) : sentence}\n`)
    })

  return keys
}

function hours(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || !(number >= 0 && number <= LONGEST_HOURS)) {
    throw new InvalidArgumentError(`expected hours, from 0 to ${LONGEST_HOURS}`)
  }
  return number
}
