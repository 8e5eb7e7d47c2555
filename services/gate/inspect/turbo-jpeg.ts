import { isFrameHeader } from './containers/jpeg.ts'
import type { Raw } from './decode.ts'
import { giveBack, takeMemory } from './picture-memory.ts'

/*
 * Decodes ordinary JPEGs by libjpeg-turbo itself, where the system has it. sharp decodes with the same code, to the same pixels, but what it does around
 * it (a pipeline made for each picture, strips of rows that go from thread to thread and through two buffers) costs nearly as much again:
 * 3.9 core-milliseconds against 2.2 for 1024x683. What is not ordinary is left to sharp, and so is what is not whole.
 */

/** TurboJPEG's library: what its second version can do, the third still can. */
const LIBRARIES: Partial<Record<NodeJS.Platform, string>> = {
  linux: 'libturbojpeg.so.0',
  darwin: 'libturbojpeg.0.dylib',
}

// As turbojpeg.h has them.
const TJPF_RGB = 0
const TJCS_YCBCR = 1
const TJFLAG_ACCURATEDCT = 4096
const TJFLAG_STOPONWARNING = 8192

const SOF_BASELINE = 0xc0
const SOF_EXTENDED = 0xc1
/** Those before it stand alone, and so do those from RST0 to EOI. */
const FIRST_WITH_LENGTH = 0xc0
const RST0 = 0xd0
const SOS = 0xda
const APP1 = 0xe1
const APP2 = 0xe2
/** How a frame's three components are sampled, as its header has it: 4:2:0 and 4:4:4. */
const SAMPLINGS = ['22,11,11', '11,11,11']

export type TurboJpeg = {
  /** The size of a JPEG in pixels; null where something might ask for more than its pixels as they are stored: Exif data, a colour profile. */
  size(payload: Uint8Array): { width: number; height: number } | null
  /**
   * The pixels of a JPEG, whatever its colour profile says; null where it is damaged, has more of them than `most`, or is out of the ordinary: progressive
   * (where scans are missing, decoders smooth as their version does), other colours than cameras store, other sampling than `preparePictures` tries.
   */
  decode(payload: Uint8Array, most: number): Raw | null
}

/** Opens the library. @returns null where there is none on this system that can be used */
export async function openTurboJpeg(): Promise<TurboJpeg | null> {
  const name = LIBRARIES[process.platform]
  if (name === undefined) return null
  try {
    const { default: koffi } = await import('koffi')
    const library = koffi.load(name)
    const open = library.func('void *tjInitDecompress(void)')
    const close = library.func('int tjDestroy(void *handle)')
    const readHeader = library.func(
      `int tjDecompressHeader3(void *handle, const uint8_t *jpeg, unsigned long size,
        _Out_ int *width, _Out_ int *height, _Out_ int *sampling, _Out_ int *colours)`,
    )
    const decompress = library.func(
      `int tjDecompress2(void *handle, const uint8_t *jpeg, unsigned long size,
        uint8_t *pixels, int width, int pitch, int height, int format, int flags)`,
    )

    /** Each picture has a decoder of its own: one that has met damage can make something else of the next picture. */
    function withDecoder<Result>(work: (handle: unknown) => Result | null): Result | null {
      const handle: unknown = open()
      if (handle === null) return null
      try {
        return work(handle)
      } finally {
        close(handle)
      }
    }

    function headerOf(handle: unknown, payload: Uint8Array): { width: number; height: number } | null {
      const told = { width: [0], height: [0], sampling: [-1], colours: [-1] }
      const { width, height, sampling, colours } = told
      if (readHeader(handle, payload, payload.length, width, height, sampling, colours) !== 0) return null
      const size = { width: width[0] ?? 0, height: height[0] ?? 0 }
      // Nought would have the library write as much as it sees fit.
      return colours[0] === TJCS_YCBCR && size.width > 0 && size.height > 0 ? size : null
    }

    return {
      size: (payload) => (isSequential(payload, true) ? withDecoder((handle) => headerOf(handle, payload)) : null),
      decode(payload, most) {
        if (!isSequential(payload, false)) return null
        return withDecoder((handle) => {
          const size = headerOf(handle, payload)
          if (size === null || size.width * size.height > most) return null
          const { width, height } = size
          const data = takeMemory(width * height * 3)
          const flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING
          const code: unknown = decompress(handle, payload, payload.length, data, width, 0, height, TJPF_RGB, flags)
          if (code === 0) return { data, width, height, channels: 3 }
          // sharp needs as much for it now.
          giveBack(data)
          return null
        })
      },
    }
  } catch {
    return null
  }
}

/** Whether it begins as an ordinary JPEG does: one frame, sequential; `bare`: with neither Exif data nor a profile. */
function isSequential(bytes: Uint8Array, bare: boolean): boolean {
  let frames = 0
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1] ?? 0
    const length = (bytes[at + 2] ?? 0) * 256 + (bytes[at + 3] ?? 0)
    if (marker === SOS) return frames === 1
    if (isFrameHeader(marker)) {
      const isSimple = marker === SOF_BASELINE || marker === SOF_EXTENDED
      if (!isSimple || !isOrdinaryFrame(bytes.subarray(at + 4, at + 2 + length))) return false
      frames++
    } else if (bare && (marker === APP1 || marker === APP2)) return false
    // Padding, and markers without a length, do not stand here in what is ordinary.
    if (length < 2 || marker < FIRST_WITH_LENGTH || (marker >= RST0 && marker < SOS) || marker === 0xff) return false
    at += 2 + length
  }
  return false
}

/** Whether a frame's header says 8 bits and three components, sampled in one of the two usual ways. */
function isOrdinaryFrame(header: Uint8Array): boolean {
  const [precision, , , , , components] = header
  const sampling = [7, 10, 13].map((at) => header[at]?.toString(16)).join()
  return precision === 8 && components === 3 && SAMPLINGS.includes(sampling)
}
