import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Command } from 'commander'
import type { HeldFilter } from '../../services/domain/held-filter.ts'
import { addHeldWords, readHeldWords } from '../../services/replay/held-words.ts'

const NOW = Date.UTC(2026, 2, 1)
const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
after(() => rmSync(folder, { recursive: true }))

function fileOf(name: string, text: string): string {
  const file = join(folder, name)
  writeFileSync(file, text)
  return file
}

function filterOf(words: readonly string[]): Promise<HeldFilter> {
  return readHeldWords(addHeldWords(new Command()).parse(words, { from: 'user' }).opts(), NOW)
}

const SHA256 = 'aB'.repeat(32)
const right: Array<[words: string[], filter: HeldFilter]> = [
  [[], {}],
  [['--outcome', 'review', '--outcome', 'quarantine'], { outcomes: ['review', 'quarantine'] }],
  [['--partition', '2'], { partitions: [{ partition: 2 }] }],
  [
    ['--partition', '2:1000-2000', '--partition', '3:5-'],
    {
      partitions: [
        { partition: 2, first: 1000, last: 2000 },
        { partition: 3, first: 5 },
      ],
    },
  ],
  [['--partition', '2:7'], { partitions: [{ partition: 2, first: 7, last: 7 }] }],
  [['--since', '3d', '--until', '2026-02-28T23:00+01:00'], { since: NOW - 259_200_000, until: NOW - 7_200_000 }],
  [['--reason', 'KNOWN_NEAR'], { reasons: ['KNOWN_NEAR'] }],
  [['--list', 'stand-in'], { lists: ['stand-in'] }],
  [['--entry', 'stand-in/a/b'], { entries: [{ list: 'stand-in', entry: 'a/b' }] }],
  [
    ['--list-version', 'stand-in/2026-01-01T00:00:00.000Z-aa'],
    { listVersions: [{ list: 'stand-in', version: '2026-01-01T00:00:00.000Z-aa' }] },
  ],
  [['--policy', SHA256], { policyHashes: [SHA256.toLowerCase()] }],
  [
    ['--supplier', 'An Agency', '--dataset', 'a set', '--supply-kind', 'licensed'],
    { suppliers: ['An Agency'], datasets: ['a set'], supplyKinds: ['licensed'] },
  ],
  [['--attempts', '2'], { attempts: 2 }],
  [['--items', fileOf('ids', 'a\r\n\n b.2 \na\n')], { itemIds: ['a', 'b.2'] }],
]
for (const [words, filter] of right) {
  test(`"${words.join(' ').replaceAll(folder, '')}" is read`, async () =>
    assert.deepEqual(await filterOf(words), filter))
}

const wrong: Array<[words: string[], sentence: RegExp]> = [
  [['--outcome', 'clean'], /--outcome clean: expected one of review, quarantine/],
  [['--partition', '2:9-3'], /--partition 2:9-3: expected PARTITION or PARTITION:FIRST-LAST/],
  [['--partition', '2:-3'], /expected PARTITION or/],
  [['--partition', 'two'], /expected PARTITION or/],
  [['--since', 'yesterday'], /--since yesterday: expected ISO 8601/],
  [['--since', '1h', '--until', '2h'], /--since 1h: expected a time before that of --until/],
  [['--reason', 'KNOWN'], /--reason KNOWN: expected one of .*KNOWN_EXACT/],
  [['--list', 'A list'], /--list A list: expected a list's name/],
  [['--entry', 'stand-in'], /--entry stand-in: expected LIST\/ENTRY/],
  [['--entry', 'stand-in/'], /expected LIST\/ENTRY/],
  [['--list-version', '/1'], /expected LIST\/VERSION/],
  [['--policy', 'abc'], /--policy abc: expected a policy file's sha256/],
  [['--supply-kind', 'gift'], /--supply-kind gift: expected one of web-crawl/],
  [['--attempts', 'few'], /--attempts few: expected a whole number/],
  [['--items', fileOf('wrong', 'item-1\nhttps://example.org/secret\n')], /wrong, line 2: expected an item id/],
  [['--items', fileOf('long', `${'a'.repeat(2000)}\n`)], /long, line 1: expected at most/],
  [['--items', fileOf('none', '\n')], /none: expected at least one item id/],
  [['--items', join(folder, 'gone')], /gone can not be read \(ENOENT\): expected a file of item ids/],
]
for (const [words, sentence] of wrong) {
  test(`"${words.join(' ').replaceAll(folder, '')}" is refused with what was expected`, async () => {
    await assert.rejects(filterOf(words), ({ code, message }: Error & { code: string }) => {
      assert.equal(code, 'USAGE')
      assert.match(message, sentence)
      assert.doesNotMatch(message, /secret/)
      return true
    })
  })
}
