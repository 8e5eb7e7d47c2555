/**
 * Version of what inspects, matches and judges. It stands on every verdict, and goes up with each change that could
 * give the same bytes another fingerprint, or the same fingerprint another verdict.
 */
export const ENGINE_VERSION = '4'
