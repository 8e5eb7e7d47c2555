import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import test from 'node:test'
import type { Fault } from './served.ts'
import { type Fixture, fetchAll, HOUR, hashHex, openFolder, overHttp, PATIENT, SECRET } from './servers.ts'

/** Seven entries, of which three are on each page; of one a member says that it is harmless. */
function fill(fixture: Fixture): void {
  for (let number = 1; number <= 7; number++)
    fixture.put(number, { negative: number === 4, at: Date.UTC(2013, number) })
}

const isXml = (body: string) => body.startsWith('<')

/** What may happen at one page and is mended by asking again. */
const passing: Record<string, Fault | ((body: string) => Fault)> = {
  'a server error': { status: 500 },
  'a server that is busy': { status: 503, headers: { 'retry-after': 'Thu, 01 Jan 2004 00:00:00 GMT' } },
  'too many requests': { status: 429 },
  'a connection that is torn': 'tear',
  'a page cut short': (body) => ({ body: body.slice(0, body.length - 20) }),
  'a page of another kind': { body: '<html><body>Maintenance</body></html>' },
  'an empty page': { body: '' },
  'bytes that are no text': { body: Buffer.from([0xff, 0xfe, 0x00]) },
  'a page address that has expired': { status: 404 },
  'a page address that is gone': { status: 410 },
  'a page address that is not understood any more': { status: 400 },
}

/** What never gets better: nothing is handed over then. */
const lasting: Array<[what: string, fault: Fault | ((body: string) => Fault), code: string, message: RegExp]> = [
  [
    'server errors',
    { status: 502 },
    'EXCHANGE_UNREACHABLE',
    /127\.0\.0\.1:\d+: status 502, at attempt 4; .* sync again later$/,
  ],
  [
    'a server that asks to be left alone for hours',
    { status: 429, headers: { 'retry-after': '7200' } },
    'EXCHANGE_UNREACHABLE',
    /status 429, at attempt 1; .* not before 2014-02-20T02:00:00\.000Z$/,
  ],
  ['pages that are none', { body: '{"hashRecords":' }, 'EXCHANGE_UNREADABLE', /not as documented/],
  [
    'entities that would expand to gigabytes',
    { body: '<!DOCTYPE q [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><queryResult>&b;</queryResult>' },
    'EXCHANGE_UNREADABLE',
    /not as documented/,
  ],
  [
    'elements that are nested without end',
    { body: '<queryResult>'.repeat(100_000) },
    'EXCHANGE_UNREADABLE',
    /not as documented/,
  ],
  ['a redirect', { status: 302, headers: { location: 'http://example.org/' } }, 'EXCHANGE_UNREADABLE', /status 302/],
  ['a page that is elsewhere', { status: 404 }, 'EXCHANGE_UNREADABLE', /at its URL: is that right/],
  [
    'pages that lead in a circle',
    (body) => ({
      body: isXml(body)
        ? body.replace('</queryResult>', '<paging><next>/v2/entries?start=1</next></paging></queryResult>')
        : JSON.stringify({ ...JSON.parse(body), hasMoreRecords: true, nextPageToken: 'token-0' }),
    }),
    'EXCHANGE_UNREADABLE',
    /lead in a circle/,
  ],
  [
    'a next page that is elsewhere',
    (body) => ({
      body: isXml(body)
        ? body.replace(/<next>.*<\/next>/, '<next>http://example.org/v2/entries?start=4</next>')
        : JSON.stringify({ ...JSON.parse(body), hasMoreRecords: true, nextPageToken: null }),
    }),
    'EXCHANGE_UNREADABLE',
    /or elsewhere|not as documented/,
  ],
  [
    'credentials that are not accepted',
    { status: 403 },
    'CONFIG_INVALID',
    /does not accept the credentials in .*credentials \(status 403\)/,
  ],
]

for (const [kind, open] of Object.entries(overHttp)) {
  test(`${kind}: all entries are fetched, page by page, and then only what is new`, async (t) => {
    const [fixture, folder] = [await open(t), await openFolder(t)]
    fill(fixture)
    const first = await fetchAll(fixture, folder)
    assert.deepEqual([first.texts, first.corrupt, first.checkedAt], [fixture.expected(), 0, fixture.clock.own])
    const asked = fixture.served.pages.length

    fixture.clock.exchange = fixture.clock.own += HOUR
    fixture.put(8)
    fixture.put(2, { negative: true })
    const second = await fetchAll(fixture, folder)
    assert.deepEqual([second.texts, second.checkedAt], [fixture.expected(), fixture.clock.own])
    assert.equal(fixture.served.pages.length - asked, 1)
    assert.equal(second.read, 2)
  })

  for (const [what, fault] of Object.entries(passing)) {
    test(`${kind}: ${what}, at any page, changes nothing in the end`, async (t) => {
      const fixture = await open(t)
      fill(fixture)
      await fetchAll(fixture, await openFolder(t))
      const addresses = [...fixture.served.pages]
      for (let page = 1; page <= addresses.length; page++) {
        // The address of a range's first page is ours: it can not expire.
        if (what.includes('address') && !/start=|Token/.test(addresses[page - 1] ?? '')) continue
        fixture.served.pages.length = 0
        fixture.served.faults = new Map([[page, fault]])
        assert.deepEqual((await fetchAll(fixture, await openFolder(t))).texts, fixture.expected(), `at page ${page}`)
      }
    })
  }

  test(`${kind}: interrupted at every page, a sync goes on from there and ends with the right set`, async (t) => {
    const fixture = await open(t)
    fill(fixture)
    await fetchAll(fixture, await openFolder(t))
    const total = fixture.served.pages.length
    assert.ok(total >= 3)
    const folder = await openFolder(t)
    for (let page = 1; page <= total; page++) {
      const each = await openFolder(t)
      fixture.served.pages.length = 0
      fixture.served.faults = new Map([[page, 'tear']])
      await assert.rejects(fetchAll(fixture, each, { ...PATIENT, attempts: 1 }), { code: 'EXCHANGE_UNREACHABLE' })
      assert.deepEqual((await fetchAll(fixture, each)).texts, fixture.expected())
      assert.equal(fixture.served.pages.length, total + 1, 'nothing is asked for twice')
    }
    fixture.served.pages.length = 0
    for (let page = 1; page <= total; page++) {
      fixture.served.faults = new Map([[fixture.served.pages.length + 2, 'tear']])
      await fetchAll(fixture, folder, { ...PATIENT, attempts: 1 }).catch(() => null)
    }
    fixture.served.faults.clear()
    assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
  })

  for (const [what, fault, code, message] of lasting) {
    test(`${kind}: ${what}: told, nothing is handed over, and the next sync goes on`, async (t) => {
      const [fixture, folder] = [await open(t), await openFolder(t)]
      fill(fixture)
      for (let page = 2; page < 12; page++) fixture.served.faults.set(page, fault)
      await assert.rejects(fetchAll(fixture, folder), (error: Error & { code?: string }) => {
        assert.equal(error.code, code)
        assert.match(error.message, message)
        assert.doesNotMatch(JSON.stringify([error.message, error.stack, String(error.cause)]), new RegExp(SECRET))
        return true
      })
      fixture.served.faults.clear()
      assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
    })
  }

  test(`${kind}: Retry-After is heeded`, async (t) => {
    const fixture = await open(t)
    fill(fixture)
    fixture.served.faults.set(2, { status: 429, headers: { 'retry-after': '1' } })
    const began = performance.now()
    assert.deepEqual((await fetchAll(fixture, await openFolder(t))).texts, fixture.expected())
    assert.ok(performance.now() - began >= 1000)
  })

  test(`${kind}: a page that does not come in time is asked for again, not for ever`, async (t) => {
    const [fixture, folder] = [await open(t), await openFolder(t)]
    fill(fixture)
    fixture.served.faults = new Map([1, 2, 3].map((page) => [page, 'hang']))
    const hasty = { ...PATIENT, requestMs: 1000, attempts: 2 }
    await assert.rejects(fetchAll(fixture, folder, hasty), {
      code: 'EXCHANGE_UNREACHABLE',
      message: /no answer \(.*Timeout.*\), at attempt 2;/,
    })
    assert.deepEqual((await fetchAll(fixture, folder, { ...hasty, attempts: 4 })).texts, fixture.expected())
  })

  test(`${kind}: a page beyond all bounds is not read to its end`, async (t) => {
    const fixture = await open(t)
    fill(fixture)
    fixture.served.faults.set(1, { body: Buffer.alloc(17_000_000, ' ') })
    await assert.rejects(fetchAll(fixture, await openFolder(t), { ...PATIENT, attempts: 1 }), {
      code: 'EXCHANGE_UNREADABLE',
      message: /an answer of more than 16777216 bytes/,
    })
  })

  test(`${kind}: pages that come twice change nothing`, async (t) => {
    const fixture = await open(t)
    fill(fixture)
    let again = 0
    const repeat = (body: string): Fault => {
      again += 1
      if (isXml(body)) {
        const next = `<paging><next>/v2/entries?${new URL(fixture.served.pages.at(-1) ?? '', 'http://x').searchParams}&again=${again}</next></paging>`
        return {
          body: body
            .replace(/<paging>.*<\/paging>/, '')
            .replace('</queryResult>', `${next.replace(/&(?!amp;)/g, '&amp;')}</queryResult>`),
        }
      }
      const token = new URL(fixture.served.pages.at(-1) ?? '', 'http://x').searchParams.get('nextPageToken')
      // The same place under another name.
      return {
        body: JSON.stringify({
          ...JSON.parse(body),
          hasMoreRecords: true,
          nextPageToken: `token-0${(token ?? 'token-0').slice(6)}`,
        }),
      }
    }
    fixture.served.faults.set(1, repeat)
    assert.deepEqual((await fetchAll(fixture, await openFolder(t))).texts, fixture.expected())
    assert.equal(again, 1)
  })

  test(`${kind}: a hash of wrong length is counted and skipped; what was known of the entry stays`, async (t) => {
    const [fixture, folder] = [await open(t), await openFolder(t)]
    fill(fixture)
    await fetchAll(fixture, folder)
    const before = fixture.expected()
    fixture.clock.exchange = fixture.clock.own += HOUR
    fixture.put(9, { value: 'abcd' })
    const { texts, corrupt } = await fetchAll(fixture, folder)
    assert.equal(corrupt, 1)
    assert.deepEqual(
      texts.filter((text) => !text.includes(':e9')),
      before,
    )
  })

  test(`${kind}: more corrupt entries than allowed refuse the version, until they are mended`, async (t) => {
    const [fixture, folder] = [await open(t), await openFolder(t)]
    fixture.settings.mostCorrupt = 2
    fill(fixture)
    for (let number = 10; number < 13; number++) fixture.put(number, { value: 'abcd' })
    for (let attempt = 0; attempt < 2; attempt++) {
      await assert.rejects(fetchAll(fixture, folder), {
        code: 'EXCHANGE_UNREADABLE',
        message: 'known: 3 of 10 entries are corrupt; mostCorrupt allows 2, or one in a thousand',
      })
    }
    for (let number = 10; number < 13; number++) fixture.put(number)
    const { texts, corrupt } = await fetchAll(fixture, folder)
    assert.deepEqual([texts, corrupt], [fixture.expected(), 0])
  })

  test(`${kind}: an entry that is withdrawn says so, with its hashes; shared again, it is as before`, async (t) => {
    const [fixture, folder, other] = [await open(t), await openFolder(t), await openFolder(t)]
    const removing = { ...fixture, settings: { ...fixture.settings, withdrawn: 'remove' } }
    fill(fixture)
    await fetchAll(fixture, folder)
    await fetchAll(removing, other)
    fixture.clock.exchange = fixture.clock.own += HOUR
    fixture.remove(3)
    assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
    const gone = (text: string) => text.endsWith('true]')
    assert.equal(fixture.expected().filter(gone).length, 1)
    assert.deepEqual(
      (await fetchAll(removing, other)).texts,
      fixture.expected().filter((text) => !gone(text)),
    )
    fixture.clock.exchange = fixture.clock.own += HOUR
    fixture.put(3)
    assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
    assert.deepEqual((await fetchAll(removing, other)).texts, fixture.expected())
  })

  for (const [what, exchange, own] of [
    ['behind', -5 * HOUR, 0],
    ['ahead', 5 * HOUR, 0],
    ['behind, while ours is set back', -2 * HOUR, -30 * HOUR],
    ['years ahead for once', 50_000 * HOUR, 0],
  ] as const) {
    test(`${kind}: no entry is missed with the exchange's clock ${what}`, async (t) => {
      const [fixture, folder] = [await open(t), await openFolder(t)]
      fill(fixture)
      const { clock } = fixture
      clock.exchange += exchange
      await fetchAll(fixture, folder)
      if (exchange > 100 * HOUR) clock.exchange = clock.own
      for (let round = 0; round < 3; round++) {
        fixture.put(20 + round, { at: clock.exchange })
        if (round === 1) clock.own += own
        clock.exchange += HOUR
        clock.own += HOUR
        await fetchAll(fixture, folder)
      }
      clock.exchange += 40 * HOUR
      clock.own += 40 * HOUR
      assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
    })
  }

  test(`${kind}: an exchange without any entry is not believed`, async (t) => {
    const fixture = await open(t)
    await assert.rejects(fetchAll(fixture, await openFolder(t)), {
      code: 'EXCHANGE_UNREADABLE',
      message: /has no entry at all/,
    })
  })

  test(`${kind}: credentials that others may read are refused before anything is asked`, async (t) => {
    const fixture = await open(t)
    const file = String(fixture.settings.credentials)
    const folder = await openFolder(t)
    for (const [mode, text, expected] of [
      [0o640, `member:${SECRET}`, /chmod 600/],
      [0o604, `member:${SECRET}`, /chmod 600/],
      [0o600, SECRET, /expected one line, two words with a colon/],
      [0o600, `member:${SECRET}\nmore`, /expected one line/],
    ] as const) {
      await writeFile(file, text)
      await chmod(file, mode)
      await assert.rejects(fetchAll(fixture, folder), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'CONFIG_INVALID')
        assert.match(error.message, expected)
        assert.doesNotMatch(error.message, new RegExp(SECRET))
        return true
      })
    }
    await assert.rejects(
      fetchAll({ ...fixture, settings: { ...fixture.settings, credentials: `${file}.none` } }, folder),
      { code: 'CONFIG_INVALID', message: /the file can not be read \(ENOENT\)/ },
    )
    assert.equal(fixture.served.pages.length, 0)
  })
}

test('of what a page says twice of one entry the later change holds, in whatever order it comes', async (t) => {
  const fixture = await overHttp.ncmec(t)
  const image = (stamp: string, rest: string, kind = 'image') =>
    `<${kind}><member id="42"/><id>e1</id><timestamp>2013-01-0${stamp}T00:00:00Z</timestamp>${rest}</${kind}>`
  const shared = `<fingerprints><pdq>${hashHex(1)}</pdq></fingerprints>`
  const cases: Array<[entries: string[], withdrawn: boolean]> = [
    [[image('1', shared), image('3', '', 'deletedImage'), image('5', shared)], false],
    [[image('5', shared), image('3', '', 'deletedImage')], false],
    [[image('5', shared), image('5', '', 'deletedImage')], false],
    [[image('3', '', 'deletedImage'), image('1', shared)], true],
    [[image('1', shared), image('3', '', 'deletedImage')], true],
  ]
  for (const [entries, withdrawn] of cases) {
    fixture.served.pages.length = 0
    // Each on a page of its own, and in a process of its own.
    const folder = await openFolder(t)
    fixture.served.faults.clear()
    const page = (body: string, next: number | null): Fault => ({
      body: `<queryResult><images>${body}</images>${next === null ? '' : `<paging><next>/v2/entries?start=${next}</next></paging>`}</queryResult>`,
    })
    for (const [at, entry] of entries.entries()) {
      fixture.served.pages.length = 0
      fixture.served.faults = new Map([
        [1, page(entry, at + 1 < entries.length ? at + 1 : null)],
        ...(at + 1 < entries.length ? [[2, 'tear'] as const] : []),
      ])
      await fetchAll(fixture, folder, { ...PATIENT, attempts: 1 }).catch(() => null)
    }
    const fetched = fetchAll(fixture, folder)
    if (entries[0]?.startsWith('<deleted')) await assert.rejects(fetched, /has no entry at all/)
    else
      assert.deepEqual(
        (await fetched).texts.map((text) => text.endsWith('true]')),
        [withdrawn],
      )
  }
})
