/** The media types that the engine can inspect; items of any other are held, never cleared. */
export const inspectedMediaTypes = [
  'image/jpeg',
  'image/png',
  'image/apng',
  'image/webp',
  'image/gif',
  'image/tiff',
  'image/avif',
  'image/svg+xml',
] as const

/** Whether the gate can look into a payload of this type, as sniffed. */
export function isInspected(mediaType: string | null): boolean {
  return inspectedMediaTypes.some((inspected) => inspected === mediaType)
}

/** How files of a type are called where other people's tools go by that. */
const extensions: Readonly<Record<string, string>> = {
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/apng': 'png',
  'image/webp': 'webp',
  'image/gif': 'gif',
  'image/tiff': 'tiff',
  'image/avif': 'avif',
  'image/svg+xml': 'svg',
} satisfies Record<(typeof inspectedMediaTypes)[number], string>

/** The extension of a file of this type, without its dot; `bin` for one that is not known. */
export function extensionOf(mediaType: string): string {
  return Object.hasOwn(extensions, mediaType) ? (extensions[mediaType] ?? 'bin') : 'bin'
}
