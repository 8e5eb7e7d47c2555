import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { codeOf } from '../../platform/error-code.ts'

/*
 * A shard is a tar with three members for each item, in this order: KEY.json, KEY.receipt.json, KEY.EXTENSION. All else of it follows from their
 * names and lengths, so that it is written in one way only, and what is read has to be that to the last bit: what two readers could read differently
 * is no shard.
 */

const BLOCK = 512
/** What ends a tar. */
const END_BLOCKS = 2
/** Read at a time. */
const PART_BYTES = 1_048_576
/** Of JSON or a receipt: many times what either can be. */
const LONGEST_TEXT = 1_048_576
/** Of a key, see `keyOf`. */
const KEY_LENGTH = 32
/** More than an export puts into a shard. */
export const MOST_ITEMS = 100_000

/** What every member's header says beside name and size: nothing of who wrote it, or when. */
export const memberHeader = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0), type: 'file' } as const

/** What a shard holds of an item: nothing of it is proven. */
export type ShardItem = {
  key: string
  extension: string
  /** of KEY.json */
  json: string
  /** of KEY.receipt.json */
  receipt: string
  /** of KEY.EXTENSION, as found */
  payload: { sha256: string; size: number }
  /** where its members begin and end in the tar, bytes */
  start: number
  end: number
}

/** A tar that is not as an export writes it. */
export class ShardDamage extends Error {
  override readonly name = 'ShardDamage'
  /** of the item whose members are not right, where that can be told */
  readonly key: string | null

  constructor(expected: string, key: string | null = null, options?: ErrorOptions) {
    super(expected, options)
    this.key = key
  }
}

type Header = { name: string; size: number }

export type Shard = {
  /**
   * Its items, one after the other; payloads of any length are hashed as they pass.
   * @throws {ShardDamage} behind the last item that is whole
   */
  items(): AsyncGenerator<ShardItem, void>
  /** Digest and length of the whole file, when all items have been read. */
  digest(): { sha256: string; size: number }
  close(): Promise<void>
}

/** Opens a shard. @throws {ShardDamage} where it can't be read or is no plain file */
export async function openShard(path: string): Promise<Shard> {
  const file = await openPlain(path)
  const whole = createHash('sha256')
  let size = 0
  let sha256: string | null = null
  let part: Buffer = Buffer.alloc(0)

  /** At most so many bytes, one at least; null at the end. */
  async function some(most: number): Promise<Buffer | null> {
    if (part.length === 0) {
      const { buffer, bytesRead } = await file
        .read(Buffer.allocUnsafe(PART_BYTES), 0, PART_BYTES, size)
        .catch(unreadable)
      if (bytesRead === 0) return null
      part = buffer.subarray(0, bytesRead)
    }
    const taken = part.subarray(0, most)
    part = part.subarray(taken.length)
    size += taken.length
    whole.update(taken)
    return taken
  }

  async function exactly(length: number, what: string): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let missing = length; missing > 0; ) {
      const taken = await some(missing)
      if (taken === null) throw new ShardDamage(`it is cut short at byte ${size}: expected ${what}`)
      parts.push(taken)
      missing -= taken.length
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  /** The header of the next member; null at the end of the tar. */
  async function header(): Promise<Header | null> {
    const at = size
    const block = await exactly(BLOCK, 'the header of a member, or the end of a tar')
    if (isZero(block)) {
      const rest = await exactly(BLOCK * (END_BLOCKS - 1), 'the end of a tar')
      if (!isZero(rest) || (await some(1)) !== null) {
        throw new ShardDamage(`expected nothing behind the end of the tar at byte ${at}`)
      }
      return null
    }
    const name = block.toString('latin1', 0, 100).replace(/\0.*$/s, '')
    const length = Number.parseInt(block.toString('latin1', 124, 135), 8)
    const isOurs = /^[0-9a-f]{32}\.[a-z.]{1,20}$/.test(name) && length >= 0
    if (!isOurs || !headerBlock(name, length).equals(block)) {
      throw new ShardDamage(`expected a member as an export writes it at byte ${at}`)
    }
    return { name, size: length }
  }

  async function padding(length: number): Promise<void> {
    const rest = await exactly((BLOCK - (length % BLOCK)) % BLOCK, 'padding')
    if (!isZero(rest)) throw new ShardDamage(`expected only zeros before byte ${size}`)
  }

  async function textMember(found: Header | null, key: string, extension: string): Promise<string> {
    if (found?.name !== `${key}.${extension}`) throw new ShardDamage(`expected ${key}.${extension}`, key)
    if (found.size > LONGEST_TEXT) {
      throw new ShardDamage(`${found.name}: expected at most ${LONGEST_TEXT} bytes`, key)
    }
    const bytes = await exactly(found.size, found.name)
    await padding(found.size)
    return textOf(bytes)
  }

  async function payloadMember(key: string): Promise<Pick<ShardItem, 'extension' | 'payload'>> {
    const found = await header()
    const [, extension] = /^[0-9a-f]{32}\.([a-z]{1,10})$/.exec(found?.name ?? '') ?? []
    if (found?.name !== `${key}.${extension}` || extension === undefined || extension === 'json') {
      throw new ShardDamage(`expected the payload of ${key}`, key)
    }
    const digest = createHash('sha256')
    for (let missing = found.size; missing > 0; ) {
      const taken = await some(missing)
      if (taken === null) throw new ShardDamage(`it is cut short at byte ${size}: expected ${found.name}`, key)
      digest.update(taken)
      missing -= taken.length
    }
    await padding(found.size)
    return { extension, payload: { sha256: digest.digest('hex'), size: found.size } }
  }

  return {
    async *items() {
      for (let count = 0; ; count++) {
        const start = size
        const first = await header()
        if (first === null) {
          sha256 = whole.digest('hex')
          return
        }
        if (count === MOST_ITEMS) throw new ShardDamage(`expected at most ${MOST_ITEMS} items`)
        const key = first.name.slice(0, KEY_LENGTH)
        const json = await textMember(first, key, 'json')
        const receipt = await textMember(await header(), key, 'receipt.json')
        yield { key, json, receipt, ...(await payloadMember(key)), start, end: size }
      }
    },
    digest() {
      if (sha256 === null) throw new TypeError('a digest is asked for before all items were read')
      return { sha256, size }
    },
    close: () => file.close(),
  }
}

/** A file that is no link, no pipe and no device. @throws {ShardDamage} */
export async function openPlain(path: string): Promise<FileHandle> {
  // A pipe that nobody writes would else be waited for.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(unreadable)
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new ShardDamage('expected a plain file')
}

function unreadable(cause: unknown): never {
  throw new ShardDamage(`expected a plain file that can be read (${codeOf(cause) ?? 'unknown'})`, null, { cause })
}

/** Empty for bytes that are no text: then they are no JSON either. */
function textOf(bytes: Buffer): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return ''
  }
}

function isZero(bytes: Buffer): boolean {
  return bytes.equals(zeros.subarray(0, bytes.length))
}

const zeros = Buffer.alloc(BLOCK)
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The one header (ustar) of a member. */
function headerBlock(name: string, size: number): Buffer {
  const block = Buffer.alloc(BLOCK)
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, '0')
  block.write(name, 0)
  block.write(`${octal(memberHeader.mode, 6)} `, 100)
  block.write(`${octal(memberHeader.uid, 6)} `, 108)
  block.write(`${octal(memberHeader.gid, 6)} `, 116)
  block.write(`${octal(size, 11)} `, 124)
  block.write(`${octal(0, 11)} `, 136)
  block.write('0', 156)
  block.write('ustar\x0000', 257)
  block.write(`${octal(0, 6)} `, 329)
  block.write(`${octal(0, 6)} `, 337)
  let sum = 8 * 0x20
  for (let at = 0; at < BLOCK; at++) sum += block[at] ?? 0
  block.write(`${octal(sum, 6)} `, 148)
  return block
}

/** What ends a tar. */
export function endOfTar(): Buffer {
  return Buffer.alloc(END_BLOCKS * BLOCK)
}
