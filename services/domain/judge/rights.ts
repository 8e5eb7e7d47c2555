import type { Envelope } from '../records.ts'

/** The signals by which an owner asks not to be trained on; policy says for each what follows. */
export const rightsSignals = ['robots', 'tdmOptOut'] as const
export type RightsSignal = (typeof rightsSignals)[number]

/** Directives of X-Robots-Tag and the robots meta element that are about training. */
const reservingDirectives = new Set(['noai', 'noimageai'])
/** What says, in words of its own, that nothing is reserved. */
const permission = /^(0|tdm-reservation\s*[:=]\s*0|(content-usage\s*[:=]\s*)?(train-ai|ai)\s*=\s*y)$/

/**
 * The rights signals of an envelope that reserve something. What stands in `tdmOptOut` and is no plain permission reserves: it is there
 * because an importer saw an opt-out.
 */
export function reservedRights({ rights }: Envelope): RightsSignal[] {
  const found: RightsSignal[] = []
  // Some write them with nothing but space between them; the name of a crawler may stand before them.
  const directives = parts(rights?.robots).flatMap((part) => part.split(/[\s:]+/))
  if (directives.some((directive) => reservingDirectives.has(directive))) found.push('robots')
  if (parts(rights?.tdmOptOut).some((part) => !permission.test(part))) found.push('tdmOptOut')
  return found
}

function parts(text: string | null | undefined): string[] {
  return (text ?? '')
    .toLowerCase()
    .split(/[;,]/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
}
