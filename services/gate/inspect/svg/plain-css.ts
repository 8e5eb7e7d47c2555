/** Properties, and attributes of the same names, that all viewers understand alike. */
export const presentation = new Set(
  `fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit
  stroke-dasharray stroke-dashoffset opacity color stop-color stop-opacity clip-path clip-rule mask mask-type display visibility
  overflow shape-rendering image-rendering text-rendering color-interpolation color-rendering paint-order vector-effect
  enable-background isolation`.split(/\s+/),
)
/** Properties of text, which is not there, and notes of drawing programs. */
const withoutEffect = /^(font(-[a-z-]+)?|text-[a-z-]+|letter-spacing|word-spacing|line-height|-inkscape-[a-z-]+)$/
const functions = new Set('rgb rgba hsl hsla url matrix translate rotate scale skewX skewY'.split(' '))
const selectors = /^[\s,.#*\w-]+$/

/** Whether a value refers to nothing outside and computes nothing. */
export function isValuePlain(value: string): boolean {
  if (!/^[\w\s.,#%()+'"!:;/-]*$/.test(value)) return false
  if (![...value.matchAll(/([\w-]+)\s*\(/g)].every(([, name = '']) => functions.has(name))) return false
  return value.replaceAll(/url\(\s*(['"]?)#[\w.:-]+\1\s*\)/g, '').search(/url/i) < 0
}

/** Whether the declarations of a `style` attribute or of a rule do nothing but colour shapes. */
export function areStylesPlain(declarations: string): boolean {
  return declarations.split(';').every((text) => {
    if (text.trim() === '') return true
    const colon = text.indexOf(':')
    const name = text.slice(0, colon).trim()
    return (presentation.has(name) || withoutEffect.test(name)) && isValuePlain(text.slice(colon + 1))
  })
}

/** Whether a style sheet has nothing but simple rules: no conditions, states, imports or fonts. */
export function areRulesPlain(sheet: string): boolean {
  const rules = sheet.replaceAll(/\/\*[^*]*\*\//g, ' ').split('}')
  const last = rules.pop() ?? ''
  return (
    last.trim() === '' &&
    rules.every((rule) => {
      const brace = rule.indexOf('{')
      return brace >= 0 && selectors.test(rule.slice(0, brace)) && areStylesPlain(rule.slice(brace + 1))
    })
  )
}
