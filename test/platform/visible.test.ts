import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { visible } from '../../services/platform/visible.ts'

const cases: Array<readonly [what: string, text: string, shown: string]> = [
  ['an escape sequence', '\u001b[31mred\u0007', '\\u001b[31mred\\u0007'],
  ['a line end', 'a\r\nb', 'a\\u000d\\u000ab'],
  ['a control of eight bits', '\u009b31m', '\\u009b31m'],
  ['text turned round', '\u202egpj.exe\u061c', '\\u202egpj.exe\\u061c'],
  ['what has no width', 'a\u200b\u2060\u00ad\ufeffb', 'a\\u200b\\u2060\\u00ad\\ufeffb'],
  ['a tag of language', 'a\u{e0041}b', 'a\\udb40\\udc41b'],
  ['half a pair', 'a\ud800b', 'a\\ud800b'],
  ['text in any script', 'Übergrößen 写真 \u{1f6a2}', 'Übergrößen 写真 \u{1f6a2}'],
]
for (const [what, text, shown] of cases) {
  test(`on a terminal ${what} is shown and does nothing`, () => {
    assert.equal(visible(text), shown)
    assert.equal(JSON.parse(visible(JSON.stringify(text))), text)
  })
}

for (const words of [
  ['crawl', 'folder', '/nowhere/\u001b[31mred'],
  ['crawl', 'warc', '/nowhere/\u001b[31mred.warc'],
  ['crawl', 'img2dataset', '--\u001b[31mred'],
]) {
  test(`a name that a stranger chose steers no terminal from a message about it: ${words[1]}`, async () => {
    const cli = [import.meta.dirname, '../../services/cli.ts'].join('/')
    const stderr = await new Promise<string>((resolve) => {
      execFile(process.execPath, [cli, ...words], (_error, _stdout, text) => resolve(text))
    })
    assert.match(stderr, /\\u001b\[31mred/)
    assert.ok(!stderr.includes('\u001b'))
  })
}
