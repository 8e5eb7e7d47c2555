const unseen = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Text from strangers for a terminal: what would steer it, or not be seen, is shown as an escape such as \u001b. */
export function visible(text: string): string {
  return text.replace(unseen, (character) => character.split('').map(escaped).join(''))
}

/** The same for what we have laid out in lines. */
export function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n')
}

/** As JSON writes it, so that JSON stays what it is. */
function escaped(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}
