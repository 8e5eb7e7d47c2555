import sharp, { type Sharp } from 'sharp'

/** Where a derivative of a listed picture must end: `held` is quarantine or review. */
export type Expectation = 'quarantine' | 'held'

/** A way to make another picture of one. */
export type Derivation = {
  /** unique, e.g. `resized-50`; names the file */
  name: string
  /** e.g. `resized` */
  family: string
  extension: string
  expectation: Expectation
  /** @param other a picture that is not listed, for what needs two */
  make(picture: Picture, other: Picture): Promise<Buffer>
}

/** @param bytes of the original's file; width and height in pixels */
export type Picture = { bytes: Buffer; width: number; height: number }

const WHITE = { r: 255, g: 255, b: 255 }
const BLACK = { r: 0, g: 0, b: 0 }
const QUALITY = 85

function jpeg(
  name: string,
  family: string,
  change: (image: Sharp, picture: Picture) => Sharp,
  quality = QUALITY,
): Derivation {
  return {
    name,
    family,
    extension: 'jpg',
    expectation: 'quarantine',
    // Through pixels first: sharp does a pipeline's steps in an order of its own.
    make: async (picture) =>
      await sharp(await change(sharp(picture.bytes), picture).png({ compressionLevel: 1 }).toBuffer())
        .jpeg({ quality })
        .toBuffer(),
  }
}

function format(extension: 'png' | 'webp' | 'gif'): Derivation {
  return {
    name: `as-${extension}`,
    family: 'format',
    extension,
    expectation: 'quarantine',
    make: async ({ bytes }) => await sharp(bytes).toFormat(extension, { quality: QUALITY, effort: 3 }).toBuffer(),
  }
}

/** An animation whose first frame is the other picture and whose second is this one. */
function animated(extension: 'webp' | 'gif'): Derivation {
  return {
    name: `later-frame-${extension}`,
    family: 'animated',
    extension,
    expectation: 'quarantine',
    async make(picture, other) {
      const [width, height] = [Math.round(picture.width / 2), Math.round(picture.height / 2)]
      const frames = await Promise.all(
        [other, picture].map(({ bytes }) => sharp(bytes).resize(width, height, { fit: 'fill' }).png().toBuffer()),
      )
      const delay = [500, 500]
      const image = sharp(frames, { join: { animated: true } })
      return await (extension === 'gif'
        ? image.gif({ delay, effort: 3 })
        : image.webp({ delay, quality: QUALITY })
      ).toBuffer()
    },
  }
}

/** Stored turned, with the EXIF orientation by which viewers turn it back. */
function exif(orientation: 3 | 6 | 8, angle: number): Derivation {
  return {
    name: `exif-${orientation}`,
    family: 'exif-turned',
    extension: 'jpg',
    expectation: 'quarantine',
    make: async ({ bytes }) =>
      await sharp(bytes).rotate(angle).withMetadata({ orientation }).jpeg({ quality: QUALITY }).toBuffer(),
  }
}

function bordered(percent: number): Derivation {
  return jpeg(`white-border-${percent}`, 'white-bordered', (image, { width, height }) => {
    const border = Math.round((Math.min(width, height) * percent) / 100)
    return image.extend({ top: border, bottom: border, left: border, right: border, background: WHITE })
  })
}

/** Cut off: so many percent of the width and of the height, half on either side. */
function cropped(percent: number): Derivation {
  const made = jpeg(`cropped-${percent}`, 'cropped', (image, { width, height }) => {
    const [across, down] = [Math.ceil((width * percent) / 100), Math.ceil((height * percent) / 100)]
    return image.extract({
      left: Math.ceil(across / 2),
      top: Math.ceil(down / 2),
      width: width - across,
      height: height - down,
    })
  })
  return { ...made, expectation: 'held' }
}

/** Everything that is made of each original. */
export const derivations: readonly Derivation[] = [
  {
    name: 'identical',
    family: 'identical',
    extension: 'jpg',
    expectation: 'quarantine',
    make: ({ bytes }) => Promise.resolve(bytes),
  },
  ...[40, 50, 60, 75, 95].map((quality) => jpeg(`quality-${quality}`, 're-encoded', (image) => image, quality)),
  ...(['png', 'webp', 'gif'] as const).map(format),
  ...[50, 60, 75, 90].map((percent) =>
    jpeg(`resized-${percent}`, 'resized', (image, { width }) => image.resize(Math.round((width * percent) / 100))),
  ),
  ...[90, 180, 270].map((angle) => jpeg(`turned-${angle}`, 'turned', (image) => image.rotate(angle))),
  jpeg('mirrored', 'mirrored', (image) => image.flop()),
  jpeg('flipped', 'mirrored', (image) => image.flip()),
  ...[5, 10, 20].map(bordered),
  jpeg('letterboxed', 'letterboxed', (image, { height }) => {
    const bar = Math.round(height / 6)
    return image.extend({ top: bar, bottom: bar, background: BLACK })
  }),
  jpeg('pillarboxed', 'letterboxed', (image, { width }) => {
    const bar = Math.round(width / 6)
    return image.extend({ left: bar, right: bar, background: BLACK })
  }),
  ...[0.5, 1, 2].map(cropped),
  jpeg('brighter', 'recoloured', (image) => image.modulate({ brightness: 1.08 })),
  jpeg('paler', 'recoloured', (image) => image.modulate({ saturation: 0.7 })),
  jpeg('grey', 'recoloured', (image) => image.greyscale()),
  ...(['gif', 'webp'] as const).map(animated),
  exif(3, 180),
  exif(6, 270),
  exif(8, 90),
]
