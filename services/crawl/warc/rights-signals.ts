import { type Field, fieldsOf } from './fields.ts'

/** What a head or a page says of the rights in what comes with it, as seen. */
export type RightsSignals = {
  /** directives of X-Robots-Tag and of the robots meta element */
  robots: string[]
  /** as the judge reads it, e.g. `tdm-reservation: 1`, `content-usage: train-ai=n`; permissions too */
  tdm: string[]
  /** URLs of licences */
  licences: string[]
}

export function noSignals(): RightsSignals {
  return { robots: [], tdm: [], licences: [] }
}

/** Of HTTP fields: X-Robots-Tag, tdm-reservation, Content-Usage, and Link with rel=license. */
export function signalsOfFields(fields: readonly Field[], url: string | null): RightsSignals {
  return {
    robots: fieldsOf(fields, 'x-robots-tag').filter((value) => value !== ''),
    tdm: [
      ...fieldsOf(fields, 'tdm-reservation').flatMap(tdmReservations),
      ...fieldsOf(fields, 'content-usage').flatMap(contentUsages),
    ],
    licences: fieldsOf(fields, 'link').flatMap((value) => licenceLinks(value, url)),
  }
}

/** @param value of a header or meta element `tdm-reservation` */
export function tdmReservations(value: string): string[] {
  return terms(value).map((term) => `tdm-reservation: ${term}`)
}

/** Terms of Content-Usage that are about training. */
const aboutTraining = new Set(['train-ai', 'train-genai', 'ai', 'genai', 'bots', 'all'])
/** Terms whose permission the judge knows as one. */
const knownPermissions = new Set(['train-ai', 'ai'])

/** Those terms that are about training: a word on something else, e.g. `search=y`, must not read as an opt-out. */
function contentUsages(value: string): string[] {
  return terms(value).flatMap((term) => {
    const [, key = '', answer = ''] = /^([a-z-]+)\s*=\s*"?([a-z0-9?-]*)"?$/.exec(term.toLowerCase()) ?? []
    if (!aboutTraining.has(key)) return []
    const allowed = answer === 'y'
    return allowed && !knownPermissions.has(key) ? [] : [`content-usage: ${key}=${answer}`]
  })
}

/** The members of a list, without their parameters. */
function terms(value: string): string[] {
  return value
    .split(',')
    .map((term) => (term.split(';')[0] ?? '').trim())
    .filter((term) => term !== '')
}

function licenceLinks(value: string, url: string | null): string[] {
  const links = value.matchAll(/<([^<>]*)>((?:[^,<"]|"[^"]*")*)/g)
  return [...links].flatMap(([, target = '', parameters = '']) => {
    const relation = /;\s*rel\s*=\s*("([^"]*)"|[^\s;,]+)/i.exec(parameters)
    const names = (relation?.[2] ?? relation?.[1] ?? '').toLowerCase().split(/\s+/)
    const licence = names.includes('license') ? absolute(target, url) : null
    return licence === null ? [] : [licence]
  })
}

/** A reference resolved against where it stands; null where it is none. */
export function absolute(reference: string, base: string | null): string | null {
  try {
    return new URL(reference.trim(), base ?? undefined).href
  } catch {
    return null
  }
}
