/** What a picture's container says of itself, read without decoding. */
export type Container = {
  /** pictures that a viewer may show one after the other */
  frames: number
  /** false: cut short, or with parts that some viewer may show and the decoder does not */
  whole: boolean
  /** what is kept beside the picture: comments, EXIF, XMP and the like, unpacked */
  metadata: Buffer[]
  /** bytes that belong to nothing, those after its end above all */
  rest: Buffer[]
  /** length of the picture from its first byte to its own end mark, in bytes */
  end: number
  /** exponent by which a viewer may change the colours, where it is told to; else 1 */
  gamma: number
}
