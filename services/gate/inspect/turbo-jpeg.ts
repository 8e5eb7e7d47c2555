import { endOfScan, isFrameHeader } from './containers/jpeg.ts'
import { giveMemoryBack, takeMemory } from './picture-memory.ts'
import type { Raw } from './pixels.ts'

/*
 * Decodes ordinary JPEGs by libjpeg-turbo itself, where the system has it. sharp decodes with the same code, to the same pixels, but what it does around
 * it (a pipeline made for each picture, strips of rows that go from thread to thread and through two buffers) costs nearly as much again:
 * 3.9 core-milliseconds against 2.2 for 1024x683, progressive 8.6 against 6.1. What is not ordinary is left to sharp, and so is what is not whole.
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
const SOF_PROGRESSIVE = 0xc2
const ORDINARY_FRAMES = [SOF_BASELINE, SOF_EXTENDED, SOF_PROGRESSIVE]
/** Those before it stand alone, and so do those from RST0 to EOI. */
const FIRST_WITH_LENGTH = 0xc0
const RST0 = 0xd0
const EOI = 0xd9
const SOS = 0xda
const APP1 = 0xe1
const APP2 = 0xe2
/** How a frame's three components are sampled, as its header has it: 4:2:0 and 4:4:4. */
const SAMPLINGS = ['22,11,11', '11,11,11']
const COMPONENTS = 3
/** of a component, in each of its blocks */
const COEFFICIENTS = 64

export type TurboJpeg = {
  /** The size of a JPEG in pixels; null where something might ask for more than its pixels as they are stored: Exif data, a colour profile. */
  size(payload: Uint8Array): { width: number; height: number } | null
  /**
   * The pixels of a JPEG, whatever its colour profile says; null where it is damaged, has more of them than `most`, or is out of the ordinary: progressive and
   * not to the last bit (decoders smooth then, as their version does), other colours than cameras store, other sampling than `preparePictures` tries.
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
      size(payload) {
        const begins = beginningOf(payload)
        return begins?.bare ? withDecoder((handle) => headerOf(handle, payload)) : null
      },
      decode(payload, most) {
        const begins = beginningOf(payload)
        if (begins === null || (begins.progressive && !isCompleteFrom(payload, begins.end))) return null
        return withDecoder((handle) => {
          const size = headerOf(handle, payload)
          if (size === null || size.width * size.height > most) return null
          const { width, height } = size
          const data = takeMemory(width * height * 3)
          const flags = TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING
          const code: unknown = decompress(handle, payload, payload.length, data, width, 0, height, TJPF_RGB, flags)
          if (code === 0) return { data, width, height, channels: 3 }
          // sharp needs as much for it now.
          giveMemoryBack(data)
          return null
        })
      },
    }
  } catch {
    return null
  }
}

/** What stands before the first scan. `bare`: neither Exif data nor a profile. `end`: where that scan's marker is. */
type Beginning = { progressive: boolean; bare: boolean; end: number }

/** Reads a JPEG up to its first scan. @returns null where it does not begin as an ordinary one does */
function beginningOf(bytes: Uint8Array): Beginning | null {
  let frame: number | null = null
  let bare = true
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1] ?? 0
    const next = at + 2 + lengthAt(bytes, at)
    if (marker === SOS) return frame === null ? null : { progressive: frame === SOF_PROGRESSIVE, bare, end: at }
    if (isFrameHeader(marker)) {
      if (frame !== null || !ORDINARY_FRAMES.includes(marker)) return null
      if (!isOrdinaryFrame(bytes.subarray(at + 4, next))) return null
      frame = marker
    }
    if (marker === APP1 || marker === APP2) bare = false
    if (!isSegment(marker, next - at)) return null
    at = next
  }
  return null
}

/**
 * Whether the scans of a progressive JPEG tell each coefficient of each component to its last bit.
 * @param from where the first scan's marker is
 */
function isCompleteFrom(bytes: Uint8Array, from: number): boolean {
  /** for each component, how many of each coefficient's lowest bits are still to come */
  const lacking = new Map<number, Uint8Array>()
  for (let at = from; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1] ?? 0
    if (marker === EOI) break
    const next = at + 2 + lengthAt(bytes, at)
    // A second frame, for one.
    if (isFrameHeader(marker) || !isSegment(marker, next - at)) return false
    if (marker === SOS) {
      const header = bytes.subarray(at + 4, next)
      const count = header[0] ?? 0
      const [first = 0, last = 0, bits = 0] = header.subarray(1 + 2 * count)
      for (let n = 0; n < count; n++) {
        const component = header[1 + 2 * n] ?? 0
        const each = lacking.get(component) ?? new Uint8Array(COEFFICIENTS).fill(0xff)
        lacking.set(component, each.fill(bits & 0x0f, first, last + 1))
      }
    }
    at = marker === SOS ? endOfScan(bytes, next) : next
  }
  return lacking.size === COMPONENTS && [...lacking.values()].every((each) => each.every((bits) => bits === 0))
}

/** Padding, and markers without a length, do not stand between the segments of what is ordinary: whoever steps over them in another way reads something else. */
function isSegment(marker: number, length: number): boolean {
  return length >= 4 && marker >= FIRST_WITH_LENGTH && (marker < RST0 || marker >= SOS) && marker !== 0xff
}

/** What a marker's segment says of its length, which counts these two bytes. */
function lengthAt(bytes: Uint8Array, marker: number): number {
  return (bytes[marker + 2] ?? 0) * 256 + (bytes[marker + 3] ?? 0)
}

/** Whether a frame's header says 8 bits and three components, sampled in one of the two usual ways. */
function isOrdinaryFrame(header: Uint8Array): boolean {
  const [precision, , , , , components] = header
  const sampling = [7, 10, 13].map((at) => header[at]?.toString(16)).join()
  return precision === 8 && components === COMPONENTS && SAMPLINGS.includes(sampling)
}
