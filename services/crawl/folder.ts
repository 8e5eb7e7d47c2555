import { createHash } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { readdir, realpath } from 'node:fs/promises'
import { SluiceError } from '../domain/errors.ts'
import { fileStatus, isInBucket, nameBelow, objectsBelow } from '../platform/files/files.ts'
import type { Found, Importer, Part } from './importer.ts'
import { LONGEST_PAYLOAD, leadsToFileInside, readWhole } from './payload-file.ts'
import { envelopeFromSidecar, SidecarError } from './sidecar.ts'
import { textOf } from './tables/row.ts'

const SIDECAR = '.json'
const LONGEST_SIDECAR = 1024 * 1024

/** `sluice crawl folder DIR`: every file below a folder. */
export const folderImporter: Importer = {
  name: 'folder',
  summary: 'publish every file below a folder',
  description:
    'Publishes every file below DIR, in order of their paths. What is known of boats.jpg may lie beside it in boats.jpg.json:\n' +
    'a JSON object of envelope groups (item, payload, acquisition, origin, supply, rights, synthetic, liveness, extra), as in\n' +
    'schemas/envelope.avsc. Hidden files and folders, linked folders and links that lead out of DIR are left out, and counted.\n' +
    'Payloads up to SLUICE_INLINE_BYTES travel in the message, longer ones by reference into the intake store.',
  argument: 'DIR',
  argumentMeaning: 'folder to publish; also s3://BUCKET/PREFIX',
  options: () => [],
  example: 'sluice crawl folder ./pictures',
  recognises: async (path) => (await fileStatus(path))?.kind === 'folder',
  async *parts([folder = '']) {
    yield await folderPart(folder)
  },
}

/**
 * Every item below a folder, depth first, by name.
 * @throws {SluiceError} USAGE when the folder can't be read
 */
export async function* readFolder(folder: string): AsyncGenerator<Found> {
  yield* (await folderPart(folder)).read()
}

/** One part: files may come and go while it is read. */
async function folderPart(folder: string): Promise<Part> {
  if (isInBucket(folder)) {
    if ((await fileStatus(folder))?.kind !== 'folder')
      throw new SluiceError('USAGE', `there is nothing below ${folder}: name a prefix of what is to be published`)
    return { name: folder, identity: null, size: null, read: () => walkBucket(folder) }
  }
  const root = await realpath(folder).catch((cause: unknown) => {
    throw new SluiceError('USAGE', `there is no folder ${folder}: name one that exists`, { cause })
  })
  const entries = await readdir(root, { withFileTypes: true }).catch((cause: unknown) => {
    throw new SluiceError('USAGE', `${folder} can't be read as a folder: name a folder that you may read`, { cause })
  })
  return { name: folder, identity: null, size: null, read: () => walk(root, '', entries) }
}

/** @param path of the folder that holds `entries`, below the root, with / between names and at the end */
async function* walk(root: string, path: string, entries: Dirent[]): AsyncGenerator<Found> {
  const names = new Set(entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name))
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const { name } = entry
    const file = path + name
    if (name.startsWith('.')) yield { kind: 'left-out', reason: 'hidden' }
    else if (entry.isDirectory()) {
      const inner = await readdir(nameBelow(root, file), { withFileTypes: true }).catch(() => null)
      if (inner === null) yield { kind: 'bad', file, field: '', expected: 'expected a folder that can be read' }
      else yield* walk(root, `${file}/`, inner)
    } else if (isSidecar(name, names)) continue
    else if (entry.isFile() || (await leadsToFileInside(root, nameBelow(root, file)))) {
      yield await readItem(root, file, names.has(name + SIDECAR))
    } else yield { kind: 'left-out', reason: entry.isSymbolicLink() ? 'link to no file in DIR' : 'no file' }
  }
}

/** As `walk`, in the order of keys. */
async function* walkBucket(root: string): AsyncGenerator<Found> {
  const isThere = async (path: string): Promise<boolean> => (await fileStatus(nameBelow(root, path)))?.kind === 'file'
  for await (const file of objectsBelow(root)) {
    if (file.split('/').some((name) => name.startsWith('.'))) yield { kind: 'left-out', reason: 'hidden' }
    else if (!(await isSidecarAmong(file, isThere))) yield await readItem(root, file, await isThere(file + SIDECAR))
  }
}

async function isSidecarAmong(name: string, isThere: (path: string) => Promise<boolean>): Promise<boolean> {
  if (!name.endsWith(SIDECAR)) return false
  const told = name.slice(0, -SIDECAR.length)
  return (await isThere(told)) && !(await isSidecarAmong(told, isThere))
}

/** A sidecar stands beside what it tells of; a JSON file on its own is an item. */
function isSidecar(name: string, names: ReadonlySet<string>): boolean {
  if (!name.endsWith(SIDECAR)) return false
  const told = name.slice(0, -SIDECAR.length)
  return names.has(told) && !isSidecar(told, names)
}

async function readItem(root: string, file: string, hasSidecar: boolean): Promise<Found> {
  const payload = await readWhole(nameBelow(root, file), LONGEST_PAYLOAD)
  if (typeof payload === 'string') return { kind: 'bad', file, field: '', expected: payload }
  const told = file + SIDECAR
  const json = hasSidecar ? await readSidecar(root, told) : null
  if (typeof json === 'string') return { kind: 'bad', file: told, field: '', expected: json }
  try {
    const envelope = envelopeFromSidecar(folderItemId(file, payload), json === null ? null : textIn(json))
    return { kind: 'item', collected: { envelope, payload } }
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error
    return { kind: 'bad', file: told, field: error.field, expected: error.expected }
  }
}

/** @throws {SidecarError} */
function textIn(json: Buffer): string {
  const text = textOf(json)
  if (text === null) throw new SidecarError('', 'expected UTF-8')
  return text
}

/** @returns the bytes, or a sentence on what was expected instead; a pipe is not waited for, and a link is followed as far as an item's is */
async function readSidecar(root: string, file: string): Promise<Buffer | string> {
  const path = nameBelow(root, file)
  if (!(await leadsToFileInside(root, path))) return 'expected a file in this folder, not a link out of it or a pipe'
  return await readWhole(path, LONGEST_SIDECAR)
}

/**
 * The item id of a file: made of its path below the folder and its bytes, so that importing twice gives the same id, and
 * changed bytes another.
 * @param path with / between names
 */
export function folderItemId(path: string, payload: Uint8Array): string {
  const sha256 = createHash('sha256').update(payload).digest('hex')
  const digest = createHash('sha256').update(`folder\n${path}\n${sha256}`).digest('hex')
  return `folder-${digest.slice(0, 40)}`
}
