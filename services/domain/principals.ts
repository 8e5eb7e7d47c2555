/** Everybody who has business with the topics. What each may do is in `infra/access.yaml`. */
export const principals = [
  'crawler',
  'gate',
  'lists',
  'replay',
  'review',
  'recall',
  'trainer',
  'on-call',
  'reports',
  'admin',
] as const
export type Principal = (typeof principals)[number]

/** As whom each command comes, by its words; a longer entry wins. */
const commands: Readonly<Record<string, Principal>> = {
  stack: 'admin',
  topics: 'admin',
  access: 'admin',
  schemas: 'admin',
  keys: 'admin',
  lists: 'lists',
  crawl: 'crawler',
  // Reads what the gate wrote of an item, and sends it in again.
  'crawl amend': 'replay',
  gate: 'gate',
  recall: 'recall',
  // Sees what the gate says of held items, and nothing that is held.
  quarantine: 'on-call',
  store: 'admin',
  train: 'trainer',
  trace: 'reports',
  replay: 'on-call',
  // The service that executes what on-call asks for.
  'replay worker': 'replay',
  provenance: 'reports',
}

/** As whom a command comes where nobody says otherwise; null for what has no business with the brokers. @param words of the command, options apart */
export function principalOf(words: readonly string[]): Principal | null {
  return commands[words.slice(0, 2).join(' ')] ?? commands[words[0] ?? ''] ?? null
}

/** How the brokers call one. */
export function kafkaPrincipal(principal: Principal): string {
  return `User:${principal}`
}
