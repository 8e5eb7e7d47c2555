import { readFolder } from '../../services/crawl/folder.ts'
import { SluiceError } from '../../services/domain/errors.ts'
import { type Listed, writeStandInList } from './stand-in-list.ts'

const EVERY = 3
/** Hashing is not what the demo is about: the list of a large folder ends here. */
const AT_MOST = 200

/**
 * Makes a hash list of every third picture of a folder, for a demo on somebody's own pictures.
 * @throws {SluiceError} USAGE when there is no picture in it
 */
export async function listOwnPictures(
  folder: string,
  file: string,
  onProgress: (hashed: number) => void,
): Promise<{ listed: number; every: string }> {
  const listed = await writeStandInList(file, everyThird(folder, onProgress))
  if (listed === 0) {
    throw new SluiceError('USAGE', `CORPUS names ${folder}, which has no JPEG, PNG, WebP or GIF picture: name another`)
  }
  return { listed, every: `third (at most ${AT_MOST})` }
}

async function* everyThird(folder: string, onProgress: (hashed: number) => void): AsyncGenerator<Listed> {
  let pictures = 0
  let hashed = 0
  for await (const found of readFolder(folder)) {
    if (found.kind !== 'item' || hashed === AT_MOST) continue
    const { envelope, payload } = found.collected
    if (!looksLikePicture(payload)) continue
    if (pictures++ % EVERY !== 0) continue
    onProgress(++hashed)
    yield { id: envelope.item?.id ?? String(hashed), bytes: payload }
  }
}

const signatures = ['ffd8ff', '89504e47', '47494638', '52494646']

function looksLikePicture(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.subarray(0, 4)).toString('hex')
  return signatures.some((signature) => start.startsWith(signature))
}
