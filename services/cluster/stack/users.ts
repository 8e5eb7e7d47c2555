import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Principal, principals } from '../../domain/principals.ts'

/** Every user of a local stack, with its password. */
export type Users = ReadonlyMap<Principal, string>

/**
 * The users of a stack, by one file each, which only its owner may read: `user:password`. Made where there are none.
 * @param folder theirs alone; made under another name first: where it exists, it is whole
 */
export function usersOf(folder: string): Users {
  if (!hasUsers(folder)) make(folder)
  return new Map(
    principals.map((principal) => [
      principal,
      readFileSync(join(folder, principal), 'utf8')
        .trim()
        .slice(principal.length + 1),
    ]),
  )
}

/** Whether the users in a folder are those of this version. */
export function hasUsers(folder: string): boolean {
  return existsSync(folder) && principals.every((principal) => existsSync(join(folder, principal)))
}

function make(folder: string): void {
  mkdirSync(dirname(folder), { recursive: true })
  const unfinished = `${folder}.new`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { mode: 0o700 })
  for (const principal of principals) {
    writeFileSync(join(unfinished, principal), `${principal}:${newPassword()}\n`, { mode: 0o600 })
  }
  rmSync(folder, { recursive: true, force: true })
  renameSync(unfinished, folder)
}

/** Letters and digits: it is written into files of several kinds. */
export function newPassword(): string {
  return randomBytes(24).toString('hex')
}

/**
 * What Java does to format a broker's folder, which then knows its users from the beginning. As the text of a file for its command
 * line: everybody on a machine sees the words of a command.
 */
export function formatWords({
  clusterId,
  settingsFile,
  users = new Map(),
}: {
  clusterId: string
  settingsFile: string
  users?: Users | undefined
}): string {
  const scram = [...users].flatMap(([name, password]) => [
    '--add-scram',
    `SCRAM-SHA-512=[name=${name},password=${password}]`,
  ])
  const words = ['kafka.tools.StorageTool', 'format', '-t', clusterId, '-c', settingsFile, ...scram]
  return words.map((word) => `"${word.replace(/[\\"]/g, '\\$&')}"\n`).join('')
}
