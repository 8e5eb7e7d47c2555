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
