import type { HashListEntry } from './records.ts'

/** What a member of an exchange may say of an entry: it is what the list is about; it is not; it is a lead that investigators have yet to follow. */
export const opinions = ['positive', 'negative', 'seed'] as const

/** What all opinions on an entry come to. */
export const standings = ['positive', 'disputed', 'seed', 'negative', 'withdrawn'] as const
export type Standing = (typeof standings)[number]

/**
 * What the members of an exchange make of an entry. Without any opinion, as in most lists, it is positive. `negative`: nobody says anything else;
 * `disputed`: somebody does, be it only that it is a lead. An opinion that is not known here counts as positive. What its source has taken back is
 * `withdrawn`, whatever was said of it.
 */
export function standingOf({ opinions, withdrawn }: Pick<HashListEntry, 'opinions' | 'withdrawn'>): Standing {
  if (withdrawn) return 'withdrawn'
  if (opinions.length === 0) return 'positive'
  const against = opinions.filter(({ opinion }) => opinion === 'negative').length
  if (against > 0) return against === opinions.length ? 'negative' : 'disputed'
  return opinions.every(({ opinion }) => opinion === 'seed') ? 'seed' : 'positive'
}
