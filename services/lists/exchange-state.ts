import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { SluiceError } from '../domain/errors.ts'
import { entryFromText, entryText } from '../domain/hash-list.ts'
import { PackedList } from '../domain/packed-entries.ts'
import type { HashListEntry } from '../domain/records.ts'
import { codeOf } from '../platform/error-code.ts'
import { readLines } from '../platform/read-lines.ts'
import type { Change, Exchange, Page } from './exchanges/exchange.ts'

/*
 * A file of lines that is only ever added to: first what it is of, then for each page what it changed (`+TIME ENTRY` by `entryText`, `-TIME ID`)
 * and a line that commits it (`=POSITION DIGEST`). The digest is over all that is before, so that what was cut short, mixed up or damaged is seen;
 * from there on it is cut off, and fetched again.
 */
const FORM = 'sluice exchange state 2'
const LONGEST_LINE = 4_194_304
/** Fewer lines that nobody needs any more are not worth the copying. */
const LEAST_SUPERSEDED = 10_000
const LINES_AT_ONCE = 1000

const commitSchema = z.strictObject({
  /** of the exchange: where to go on */
  position: z.unknown(),
  /** where to go on if what came since the last version is refused */
  published: z.unknown(),
  /** entries since the last version */
  read: z.number(),
  corrupt: z.number(),
  endsRange: z.boolean(),
  anew: z.literal(true).optional(),
})
type Commit = z.infer<typeof commitSchema>
const START: Commit = { position: null, published: null, read: 0, corrupt: 0, endsRange: true }

/** What was fetched from an exchange so far; it survives whatever ends the process. */
export type ExchangeState = {
  list: PackedList
  /** of the last page that was kept; null: nothing was */
  readonly position: unknown
  /** entries that were read since the last version, and those that were corrupt */
  readonly read: number
  readonly corrupt: number
  /** Keeps a page, durably, whole or not at all. */
  keep(page: Page): Promise<void>
  /** What was fetched is a version of the list now. */
  published(): Promise<void>
  /** What came since the last version is to be fetched once more; entries that could be read stay. */
  refuse(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the state of an exchange; one that is of another source, or of another form, is begun anew.
 * @param folder is made where there is none, for this user alone
 * @throws {SluiceError} STORE_UNREACHABLE
 */
export async function openExchangeState(
  folder: string,
  name: string,
  { source, withdrawn }: Pick<Exchange, 'source' | 'withdrawn'>,
): Promise<ExchangeState> {
  const path = join(folder, `${name}.state`)
  const header = JSON.stringify({ form: FORM, source, withdrawn })
  const found = await durably(path, async () => {
    await mkdir(folder, { recursive: true, mode: 0o700 })
    return await load(path, name, header)
  })
  let { list, commit, times, digest, lines } = found
  let file = await durably(path, async () => {
    const opened = await open(path, 'a', 0o600)
    await opened.truncate(found.end)
    if (found.end === 0) await opened.appendFile(`${header}\n`)
    return opened
  })

  async function append(changed: readonly string[], next: Commit): Promise<void> {
    const text = committed(changed, JSON.stringify(next), digest)
    await durably(path, async () => {
      await file.appendFile(text.text)
      await file.datasync()
    })
    digest = text.digest
    lines += changed.length + 1
    commit = next
  }

  return {
    get list() {
      return list
    },
    get position() {
      return commit.position
    },
    get read() {
      return commit.read
    },
    get corrupt() {
      return commit.corrupt
    },

    async keep({ changes, read, corrupt, position, anew, endsRange }) {
      if (anew) [list, times] = [new PackedList(name), new Map()]
      const changed = changes.flatMap((change) => apply(list, times, change, withdrawn))
      await append(changed, {
        position,
        published: anew ? null : commit.published,
        read: commit.read + read,
        corrupt: commit.corrupt + corrupt,
        endsRange,
        ...(anew ? { anew } : {}),
      })
      if (endsRange) times = new Map()
    },

    async published() {
      const { position } = commit
      await append([], { ...START, position, published: position })
      if (lines < 2 * list.size + LEAST_SUPERSEDED) return
      await durably(path, async () => {
        const draft = `${path}.draft`
        const written = await rewrite(draft, header, list, commit)
        await rename(draft, path)
        await flush(folder)
        await file.close()
        file = await open(path, 'a')
        ;({ digest, lines } = written)
      })
    },

    refuse: () => append([], { ...START, position: commit.published, published: commit.published }),
    close: () => file.close(),
  }
}

/**
 * Applies a change, unless what is known of its entry in the same range is later.
 * @returns the lines that say so
 */
function apply(
  list: PackedList,
  times: Map<string, number>,
  { id, at, entry }: Change,
  withdrawn: Exchange['withdrawn'],
): string[] {
  const before = times.get(id)
  if (at !== null && before !== undefined && (at < before || (at === before && entry === null))) return []
  if (at !== null) times.set(id, at)
  const effect = effectOf(list.get(id), entry && { ...entry, list: list.list }, withdrawn)
  if (effect !== null) list.put(effect)
  else list.delete(id)
  return [effect === null ? `-${at ?? ''} ${id}` : `+${at ?? ''} ${entryText(effect)}`]
}

/** What an entry becomes; null where it goes. A tombstone alone has no hashes: those that were known stay with it. */
function effectOf(
  known: HashListEntry | undefined,
  told: HashListEntry | null,
  withdrawn: Exchange['withdrawn'],
): HashListEntry | null {
  const entry = told ?? (known === undefined ? null : { ...known, withdrawn: true })
  return entry?.withdrawn && withdrawn === 'remove' ? null : entry
}

/** @param commit as JSON @param before digest of all that is before */
function committed(changed: readonly string[], commit: string, before: string): { text: string; digest: string } {
  const body = [...changed, `=${commit} `].join('\n')
  const digest = createHash('sha256').update(before).update(body).digest('hex')
  return { text: `${body}${digest}\n`, digest }
}

type Loaded = {
  list: PackedList
  commit: Commit
  times: Map<string, number>
  digest: string
  lines: number
  /** up to where the file is good, in bytes */
  end: number
}

async function load(path: string, name: string, header: string): Promise<Loaded> {
  const state: Loaded = { list: new PackedList(name), commit: START, times: new Map(), digest: '', lines: 0, end: 0 }
  let pending: string[] = []
  try {
    for await (const { bytes, number, end, isEnded } of readLines(createReadStream(path), LONGEST_LINE)) {
      const line = bytes.toString('utf8')
      if (!isEnded || (number === 1 && line !== header)) break
      if (number === 1) state.end = end
      else if (line.startsWith('=')) {
        const json = line.slice(1, -65)
        const { text, digest } = committed(pending, json, state.digest)
        const commit = commitSchema.safeParse(jsonOf(json)).data
        if (commit === undefined || !text.endsWith(`${line}\n`)) break
        take(state, pending, commit, name)
        Object.assign(state, { commit, digest, end, lines: state.lines + pending.length + 1 })
        pending = []
      } else pending.push(line)
    }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && !(error instanceof RangeError)) throw error
  }
  return state
}

/** Takes what a page changed. */
function take(state: Loaded, changed: readonly string[], { anew, endsRange }: Commit, name: string): void {
  if (anew) [state.list, state.times] = [new PackedList(name), new Map()]
  for (const line of changed) {
    const space = line.indexOf(' ')
    const [time, rest] = [line.slice(1, space), line.slice(space + 1)]
    let id = rest
    if (line.startsWith('+')) {
      const entry = entryFromText(name, rest)
      state.list.put(entry)
      id = entry.id
    } else state.list.delete(id)
    if (time !== '') state.times.set(id, Number(time))
  }
  if (endsRange) state.times = new Map()
}

/** Writes a state anew, of what is still of use. */
async function rewrite(
  path: string,
  header: string,
  list: PackedList,
  commit: Commit,
): Promise<{ digest: string; lines: number }> {
  const file = await open(path, 'w', 0o600)
  let [digest, lines] = ['', 0]
  const write = async (changed: string[], next: Commit): Promise<void> => {
    const part = committed(changed, JSON.stringify(next), digest)
    await file.appendFile(part.text)
    digest = part.digest
    lines += changed.length + 1
  }
  try {
    await file.appendFile(`${header}\n`)
    let changed: string[] = []
    for (const entry of list.snapshot()) {
      changed.push(`+ ${entryText(entry)}`)
      if (changed.length < LINES_AT_ONCE) continue
      await write(changed, START)
      changed = []
    }
    await write(changed, commit)
    await file.sync()
  } finally {
    await file.close()
  }
  return { digest, lines }
}

async function flush(folder: string): Promise<void> {
  const handle: FileHandle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function durably<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    const code = codeOf(cause)
    if (code === null) throw cause
    const sentence = `what was fetched could not be kept in ${dirname(path)} (${code})`
    throw new SluiceError('STORE_UNREACHABLE', `${sentence}: is the disk mounted, writable and not full?`, { cause })
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
