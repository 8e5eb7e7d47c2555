import type { Match } from '../../services/domain/records.ts'

/** That an item has a digest of an entry, which holds it. */
export function exactMatch(list: string, entry: string, more: Partial<Match> = {}): Match {
  return {
    list,
    listVersion: 'v1',
    entry,
    signal: 'sha256',
    distance: 0,
    quality: null,
    frame: 0,
    transform: 'identity',
    class: 'exact',
    enforced: true,
    classification: null,
    standing: 'positive',
    ...more,
  }
}
