import { isUtf8 } from 'node:buffer'
import { Parser } from 'htmlparser2'
import { absolute, noSignals, type RightsSignals, tdmReservations } from './rights-signals.ts'

/** A page that was captured, as far as it tells of pictures. */
export type Page = { url: string; title: string | null; signals: RightsSignals }
/** A picture that a page shows or links to. */
export type PictureLink = { url: string; caption: string | null }
export type ReadPage = { page: Page; pictures: PictureLink[] }

/** As much of a page is looked at. */
const LONGEST_PAGE = 4_194_304
const SLICE = 16_384
const MOST_PICTURES = 5000
/** The parser's work grows with the square of it. */
const DEEPEST = 2000
const LONGEST_TEXT = 1000
const LONGEST_URL = 4096
const MOST_SIGNALS = 20
const pictureEnding = /\.(jpe?g|jfif|png|apng|gif|webp|avif|tiff?|svg|bmp|heic|jxl)$/i

/**
 * What a page tells of itself and of pictures: title, robots and TDM meta elements, licence; img, source, links to pictures, og:image, figures.
 * @param contentType of the response, for its charset
 */
export function readPage(html: Buffer, url: string, contentType: string | null): ReadPage {
  const page: Page = { url, title: null, signals: noSignals() }
  const pictures: PictureLink[] = []
  /** elements that are open and whose pictures share a caption; one of a kind */
  const groups = new Map<string, PictureLink[]>()
  const social: { url: string | null; alt: string | null } = { url: null, alt: null }
  // Each of many references would be resolved against all of a longer one.
  let base = url.length > LONGEST_URL ? null : url
  let depth = 0
  let title: string | null = null
  let figcaption: string | null = null
  let within: 'title' | 'figcaption' | null = null

  function add(reference: string | undefined, caption: string | null): void {
    if (reference === undefined || reference.length > LONGEST_URL || /^\s*data:/i.test(reference)) return
    if (pictures.length >= MOST_PICTURES) return
    const found = absolute(reference, base)
    // What a short reference is resolved against may be long.
    if (found === null || found.length > LONGEST_URL) return
    const picture = { url: found, caption }
    pictures.push(picture)
    for (const group of groups.values()) group.push(picture)
  }

  function share(name: string, caption: string | null): void {
    const group = groups.get(name) ?? []
    groups.delete(name)
    const shared = caption ?? group.find((picture) => picture.caption !== null)?.caption ?? null
    for (const picture of group) picture.caption ??= shared
  }

  function readMeta({ name = '', property = '', content = '' }: Attributes): void {
    const key = (name || property).toLowerCase()
    if (key === 'robots') note(page.signals.robots, content)
    else if (key === 'tdm-reservation') for (const term of tdmReservations(content)) note(page.signals.tdm, term)
    else if (key === 'og:image' || key === 'og:image:url' || key === 'og:image:secure_url') {
      tellSocial()
      social.url = content
    } else if (key === 'og:image:alt') social.alt = tidy(content)
  }

  function tellSocial(): void {
    if (social.url !== null) add(social.url, social.alt)
    social.url = null
    social.alt = null
  }

  const parser = new Parser({
    onopentag(name, attributes: Attributes) {
      depth++
      const { src, srcset, href = '', rel = '', alt, title: tip } = attributes
      if (name === 'base' && base === url) base = (href.length > LONGEST_URL ? null : absolute(href, url)) ?? url
      else if (name === 'meta') readMeta(attributes)
      else if (name === 'title' && title === null) [within, title] = ['title', '']
      else if (name === 'figcaption') [within, figcaption] = ['figcaption', '']
      else if (name === 'img') {
        const caption = tidy(alt) ?? tidy(tip)
        add(src, caption)
        add(attributes['data-src'], caption)
        for (const each of candidates(srcset, attributes['data-srcset'])) add(each, caption)
      } else if (name === 'source') for (const each of candidates(srcset, attributes['data-srcset'])) add(each, null)
      else if (sharing.has(name) && !groups.has(name)) {
        groups.set(name, [])
        if (name === 'figure') figcaption = null
      }
      if ((name === 'link' || name === 'a') && rel.toLowerCase().split(/\s+/).includes('license'))
        note(page.signals.licences, absolute(href, base))
      if (name === 'a' && pictureEnding.test(absolute(href, base)?.replace(/[?#].*$/s, '') ?? '')) add(href, null)
    },
    ontext(text) {
      if (within === 'title' && title !== null) title = (title + text).slice(0, 2 * LONGEST_TEXT)
      if (within === 'figcaption' && figcaption !== null) figcaption = (figcaption + text).slice(0, 2 * LONGEST_TEXT)
    },
    onclosetag(name) {
      depth--
      if (name === within) within = null
      if (name === 'figure') share(name, tidy(figcaption))
      else if (sharing.has(name)) share(name, null)
    },
  })
  const text = decode(html.subarray(0, LONGEST_PAGE), contentType)
  for (let at = 0; at < text.length && depth < DEEPEST; at += SLICE) parser.write(text.slice(at, at + SLICE))
  if (depth < DEEPEST) parser.end()
  tellSocial()
  page.title = tidy(title)
  return { page, pictures }
}

type Attributes = Record<string, string | undefined>

const sharing = new Set(['picture', 'a', 'figure'])

function note(list: string[], text: string | null): void {
  const tidied = tidy(text)
  if (tidied !== null && list.length < MOST_SIGNALS && !list.includes(tidied)) list.push(tidied)
}

/** @returns null when nothing is left */
function tidy(text: string | null | undefined): string | null {
  const short = (text ?? '')
    .slice(0, 4 * LONGEST_TEXT)
    .replace(/\s+/g, ' ')
    .trim()
    .slice(0, LONGEST_TEXT)
  // A copy: part of a text keeps all of it in memory, here the page.
  return Buffer.from(short).toString() || null
}

/** The URLs of srcset attributes. */
function candidates(...sets: readonly (string | undefined)[]): string[] {
  return sets
    .flatMap((set) => set?.match(/[^\s,]\S*/g) ?? [])
    .map((word) => word.replace(/^[\d.]+[wxh](,|$)/, '').replace(/,+$/, ''))
    .filter((word) => word !== '')
}

function decode(html: Buffer, contentType: string | null): string {
  const told = /charset\s*=\s*["']?([\w.:-]+)/i
  const label = told.exec(contentType ?? '')?.[1] ?? told.exec(html.toString('latin1', 0, 2048))?.[1]
  try {
    return new TextDecoder(label ?? (isUtf8(html) ? 'utf-8' : 'windows-1252')).decode(html)
  } catch {
    return html.toString('utf8')
  }
}
