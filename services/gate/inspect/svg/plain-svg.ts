import { areRulesPlain, areStylesPlain, isValuePlain, presentation } from './plain-css.ts'
import { createTally } from './tally.ts'

/** The drawing that an SVG makes on its own, without what viewers treat each in their own way. */
export type PlainSvg = {
  /** false: it has something that some viewer may show otherwise: scripts, animation, text, references, conditions, ... */
  plain: boolean
  /** false: it can't be read, declares entities, or draws without end: it must not even be parsed by a decoder */
  safe: boolean
  /** base64 pictures within it */
  images: Buffer[]
  /** the root's start tag in the text, and its view box; null where the viewer's window decides what is seen */
  root: { from: number; to: number; box: readonly [x: number, y: number, width: number, height: number] } | null
}

const namespace = 'http://www.w3.org/2000/svg'
const tags = /<(\/?)([A-Za-z_][\w.-]*(?::[\w.-]+)?)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>/y
const attributes = /([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g
const declaration = /^\ufeff?(?:<\?xml\s[^<>?]*\?>)?/
const doctype = /<!DOCTYPE\s+svg(?:\s+PUBLIC\s+"[^"<>]*"\s+"[^"<>]*")?\s*>/y

const shapes = 'path rect circle ellipse line polyline polygon image use'
const elements = new Set(
  `svg g defs symbol title desc metadata style linearGradient radialGradient stop clipPath mask pattern ${shapes}`.split(
    ' ',
  ),
)
const geometry = new Set(
  `x y width height rx ry cx cy r x1 y1 x2 y2 fx fy fr d points transform viewBox preserveAspectRatio offset gradientUnits
  gradientTransform spreadMethod clipPathUnits maskUnits maskContentUnits patternUnits patternContentUnits patternTransform
  pathLength version baseProfile id class role lang type media contentScriptType contentStyleType zoomAndPan`.split(
    /\s+/,
  ),
)
/** As `href` and in url(). */
const localReference = /(?:^|[(\s'"])#([\w.:-]+)/g
/** Elements that are drawn, each as often as it is. */
const mostElements = 100_000
const dataPicture = /^data:image\/(?:png|jpe?g|gif|webp)\s*;\s*base64\s*,([\w+/=\s]*)$/i

/** Reads an SVG as text and says whether every viewer draws it alike. */
export function readPlainSvg(text: string): PlainSvg {
  const found: PlainSvg = { plain: true, safe: !/<!ENTITY/i.test(text), images: [], root: null }
  const open: string[] = []
  const tally = createTally()
  let at = declaration.exec(text)?.[0].length ?? 0
  if (/encoding\s*=\s*["'](?!utf-8|us-ascii)/i.test(text.slice(0, at))) found.plain = false
  while (at < text.length) {
    if (text.startsWith('<!--', at)) {
      const end = text.indexOf('-->', at)
      if (end < 0) return { ...found, plain: false, safe: false }
      at = end + 3
    } else if (text.startsWith('<?', at)) {
      found.plain = false
      const end = text.indexOf('?>', at)
      if (end < 0) return { ...found, safe: false }
      at = end + 2
    } else if (text.startsWith('<![CDATA[', at) && open.at(-1) === 'style') {
      const end = text.indexOf(']]>', at)
      if (end < 0) return { ...found, plain: false, safe: false }
      found.plain &&= areRulesPlain(text.slice(at + 9, end))
      at = end + 3
    } else if (text[at] === '<') {
      tags.lastIndex = at
      doctype.lastIndex = at
      const tag = tags.exec(text)
      const end = tag === null ? (doctype.exec(text) === null ? 0 : doctype.lastIndex) : tags.lastIndex
      if (end === 0) return { ...found, plain: false, safe: false }
      if (tag !== null) {
        const [, closing, name = '', rest = '', empty] = tag
        if (closing === '/') {
          if (open.pop() !== name) return { ...found, plain: false, safe: false }
          tally.leave()
        } else {
          readElement(
            name,
            [...rest.matchAll(attributes)].map(([, key = '', a, b]) => [key, unescaped(a ?? b ?? '')]),
            at,
            end,
          )
          if (empty === '/') tally.leave()
          else open.push(name)
        }
      }
      at = end
    } else {
      const next = text.indexOf('<', at)
      const end = next < 0 ? text.length : next
      const content = unescaped(text.slice(at, end))
      if (content === null || (open.at(-1) === 'style' && !areRulesPlain(content))) found.plain = false
      at = end
    }
  }
  const plain = found.plain && open.length === 0 && found.root !== null
  return { ...found, plain, safe: found.safe && tally.total() <= mostElements }

  function readElement(name: string, list: [name: string, value: string | null][], from: number, to: number): void {
    const isRoot = open.length === 0
    // An element of a foreign namespace is not drawn, as long as its prefix does not stand for one that is.
    const foreign = name.includes(':')
    if (isRoot ? name !== 'svg' || found.root !== null : !foreign && !elements.has(name)) found.plain = false
    const values = new Map<string, string>()
    const references: string[] = []
    for (const [key, value] of list) {
      if (value === null || !isAttributePlain(name, key, value, isRoot)) found.plain = false
      if (value === null) continue
      values.set(key, value)
      references.push(...[...value.matchAll(localReference)].map(([, id = '']) => id))
      const picture = isReference(key) ? dataPicture.exec(value)?.[1] : undefined
      if (picture !== undefined) found.images.push(Buffer.from(picture, 'base64'))
    }
    tally.enter(values.get('id'), references)
    if (!isRoot) return
    const box = viewBox(values)
    if (values.get('xmlns') !== namespace || box === null) found.plain = false
    if (box !== null) found.root = { from, to, box }
  }
}

function isReference(name: string): boolean {
  return name === 'href' || name.endsWith(':href')
}

function isAttributePlain(element: string, name: string, value: string, isRoot: boolean): boolean {
  if (name === 'xmlns') return isRoot
  if (name.startsWith('xmlns:')) return value !== namespace && !value.includes('/xhtml') && !value.includes('MathML')
  if (isReference(name)) return /^#[\w.:-]+$/.test(value) || (element === 'image' && dataPicture.test(value))
  if (name === 'xml:space' || name === 'xml:lang') return true
  // What other programs note for themselves.
  if (name.includes(':')) return !name.startsWith('xml:')
  if (element.includes(':') || /^(data|aria)-/.test(name)) return true
  if (name === 'style') return areStylesPlain(value)
  if (element === 'style' && name === 'media') return value === 'all'
  return (geometry.has(name) || presentation.has(name)) && isValuePlain(value)
}

/** The part of the plane that the root shows; null where it leaves that to the viewer. */
function viewBox(root: ReadonlyMap<string, string>): [number, number, number, number] | null {
  const text = root.get('viewBox')
  const numbers =
    text === undefined
      ? [0, 0, length(root.get('width')), length(root.get('height'))]
      : text
          .trim()
          .split(/[\s,]+/)
          .map(Number)
  const [x = Number.NaN, y = Number.NaN, width = Number.NaN, height = Number.NaN] = numbers
  const fine = numbers.length === 4 && numbers.every(Number.isFinite) && width > 0 && height > 0
  return fine ? [x, y, width, height] : null
}

function length(text = ''): number {
  return /^\s*[\d.]+(px)?\s*$/.test(text) ? Number.parseFloat(text) : Number.NaN
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** Text with its entities resolved; null where there are others than those that XML has. */
function unescaped(text: string): string | null {
  let known = true
  const plain = text.replaceAll(/&([^;&]*;?)/g, (_, name: string) => {
    const code = /^#(?:x([\da-f]{1,6})|(\d{1,7}));$/i.exec(name)
    if (code !== null) {
      const point = code[1] === undefined ? Number(code[2]) : Number.parseInt(code[1], 16)
      if (point <= 0x10ffff) return String.fromCodePoint(point)
    }
    const entity = name.endsWith(';') ? entities[name.slice(0, -1)] : undefined
    known &&= entity !== undefined
    return entity ?? ''
  })
  return known ? plain : null
}
