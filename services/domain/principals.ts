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

/** How the brokers call one. */
export function kafkaPrincipal(principal: Principal): string {
  return `User:${principal}`
}
