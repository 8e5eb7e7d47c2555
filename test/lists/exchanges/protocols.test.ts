import assert from 'node:assert/strict'
import test from 'node:test'
import { parseExchanges } from '../../../services/lists/exchanges/exchanges.ts'
import { fetchAll, HOUR, hashHex, openFolder, openNcmec, openStopncii } from './servers.ts'

type Told = [id: string, signals: string[], classification: string | null, opinions?: string[][], withdrawn?: boolean]

function told(texts: readonly string[]): Told[] {
  return texts.map((text) => JSON.parse(text))
}

test('ncmec: images, videos and what is not known yet are told with all their fingerprints, and who thinks what of them', async (t) => {
  const fixture = await openNcmec(t)
  const md5 = 'a1'.repeat(16)
  fixture.served.faults.set(1, {
    body: `<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<h:queryResult xmlns:h="https://hashsharing.ncmec.org/hashsharing/v2">
  <h:images count="2" maxTimestamp="2014-01-24T15:10:00Z">
    <h:image>
      <h:member id="42">Example &lt;Member&gt;</h:member>
      <h:timestamp>2013-10-24T15:00:00Z</h:timestamp>
      <h:id> image1 </h:id>
      <h:classification>A1</h:classification>
      <h:fingerprints><h:md5>${md5.toUpperCase()}</h:md5><h:sha1>${'a1'.repeat(20)}</h:sha1><h:pdna>${'x'.repeat(2000)}</h:pdna></h:fingerprints>
      <h:feedback lastUpdateTimestamp="2013-11-01T12:48:14Z">
        <h:affirmativeFeedback type="Md5"><h:members timestamp="2013-11-01T12:48:14Z"><h:member id="43">Other</h:member><h:member id="42">Example</h:member></h:members></h:affirmativeFeedback>
        <h:negativeFeedback type="Sha1"><h:reasons><h:reason guid="0" name="r" type="Sha1"/><h:members><h:member id="44">Third</h:member></h:members></h:reasons></h:negativeFeedback>
      </h:feedback>
    </h:image>
    <h:deletedImage><h:member id="43">Other</h:member><h:id>image4</h:id><h:timestamp>2013-10-24T15:10:00Z</h:timestamp></h:deletedImage>
  </h:images>
  <h:videos count="3" maxTimestamp="2014-01-24T15:20:00Z">
    <h:video><h:member id="42"/><h:timestamp>soon</h:timestamp><h:id>image1</h:id><h:fingerprints><h:tmk-pdqf rel="self" href="/v2/entries/1/fingerprints/TMK_PDQF"/><h:SSVH_PDNA>abc</h:SSVH_PDNA></h:fingerprints></h:video>
    <h:video><h:member id="42"/><h:id>empty</h:id><h:fingerprints/></h:video>
    <h:video><h:id>nobody's</h:id><h:fingerprints><h:md5>${md5}</h:md5></h:fingerprints></h:video>
  </h:videos>
  <h:audios><h:audio><h:member id="42"/><h:id>a/1</h:id><h:fingerprints><h:md5>${md5}</h:md5></h:fingerprints></h:audio></h:audios>
</h:queryResult>`,
  })
  const { texts, corrupt, read } = await fetchAll(fixture, await openFolder(t))
  const [audio, image, video, ...rest] = told(texts)
  assert.deepEqual(rest, [])
  assert.match(audio?.[0] ?? '', /^[0-9a-f]{32}$/)
  assert.deepEqual(image, [
    'image:42:image1',
    [`md5:${md5}`, 'photodna:', `sha1:${'a1'.repeat(20)}`],
    'A1',
    [
      ['42', 'positive'],
      ['43', 'positive'],
      ['44', 'negative'],
    ],
    false,
  ])
  assert.deepEqual(video?.slice(0, 2), ['video:42:image1', ['ssvh-pdna:616263', 'tmk-pdqf:']])
  assert.deepEqual([corrupt, read], [2, 6])
})

test('ncmec: an entry that would not fit into a message is cut where that loses nothing, or counted as corrupt', async (t) => {
  const fixture = await openNcmec(t)
  const members = (from: number) =>
    Array.from({ length: 3000 }, (_, number) => `<member id="${from + number}">M</member>`).join('')
  const about = (id: string) => `<member id="42"/><id>${id}</id>`
  fixture.served.faults.set(1, {
    body: `<queryResult><images>
      <image>${about('a')}<fingerprints><pdq>${hashHex(1)}</pdq></fingerprints><feedback><affirmativeFeedback>${members(100)}</affirmativeFeedback><negativeFeedback>${members(5000)}</negativeFeedback></feedback></image>
      <image>${about('b')}<fingerprints>${`<pdq>${hashHex(1)}</pdq>`.repeat(101)}</fingerprints></image>
    </images></queryResult>`,
  })
  const { texts, corrupt } = await fetchAll(fixture, await openFolder(t))
  const [[id, , , opinions = []] = ['', [], null], ...rest] = told(texts)
  assert.deepEqual([id, opinions.length, rest, corrupt], ['image:42:a', 2000, [], 1])
})

test('ncmec: what a sync has kept is what the next one reads: a classification that is cut within a character', async (t) => {
  const fixture = await openNcmec(t)
  const classification = `${'x'.repeat(99)}😀`
  fixture.served.faults.set(1, {
    body: `<queryResult><images><image><member id="42"/><id>a</id><classification>${classification}</classification>
      <fingerprints><pdq>${hashHex(1)}</pdq></fingerprints></image></images></queryResult>`,
  })
  const folder = await openFolder(t)
  const { texts } = await fetchAll(fixture, folder)
  assert.equal(told(texts)[0]?.[2], `${'x'.repeat(99)}\uFFFD`)
  assert.deepEqual((await fetchAll(fixture, folder)).texts, texts)
})

test('ncmec: all fingerprints of an entry are kept, also where there are several of one kind', async (t) => {
  const fixture = await openNcmec(t)
  const [first, second] = [hashHex(1), hashHex(2)].sort()
  fixture.served.faults.set(1, {
    body: `<queryResult><images><image><member id="42"/><id>a</id>
      <fingerprints><pdq>${first}</pdq><pdq>${second}</pdq></fingerprints></image></images></queryResult>`,
  })
  const folder = await openFolder(t)
  const { texts } = await fetchAll(fixture, folder)
  assert.deepEqual(told(texts)[0]?.[1], [`pdq:${first}`, `pdq:${second}`])
  assert.deepEqual((await fetchAll(fixture, folder)).texts, texts)
})

test('ncmec: ranges follow each other without a gap, each is asked for in the documented form', async (t) => {
  const fixture = await openNcmec(t)
  fixture.put(1)
  const folder = await openFolder(t)
  await fetchAll(fixture, folder)
  fixture.clock.exchange = fixture.clock.own += HOUR
  await fetchAll(fixture, folder)
  const ranges = fixture.served.pages.map((page) => [...new URL(page, 'http://x').searchParams])
  assert.deepEqual(ranges, [
    [
      ['from', '1970-01-01T00:00:00Z'],
      ['to', '2014-01-01T00:00:00Z'],
    ],
    [
      ['from', '2013-12-31T23:45:00Z'],
      ['to', '2014-01-31T00:00:00Z'],
    ],
    [
      ['from', '2014-01-30T23:45:00Z'],
      ['to', '2014-02-19T23:59:50Z'],
    ],
    [
      ['from', '2014-02-19T23:44:50Z'],
      ['to', '2014-02-20T00:59:50Z'],
    ],
  ])
})

const feedbacks: Array<[feedback: unknown, opinion: string | null]> = [
  ['Blocked', 'positive'],
  ['NotBlocked', 'negative'],
  ['PendingReview', 'seed'],
  ['QualityUnknown', 'seed'],
  ['SomethingNew', 'seed'],
  ['None', null],
  ['Deleted', null],
  ['Withdrawn', null],
  [null, null],
]

test('stopncii: kinds of hashes, cases and feedback as services give it', async (t) => {
  const fixture = await openStopncii(t)
  const record = (signalType: unknown, hashValue: unknown, more: object = {}) => ({
    lastModtimestamp: 1_390_000_000,
    signalType,
    hashValue,
    hashStatus: 'Active',
    caseNumbers: [],
    ...more,
  })
  const records = [
    record('VideoMD5', 'AB'.repeat(16)),
    record('VideoTMK', 'dG1r'.repeat(1000)),
    record('URL', 'https://example.org/'),
    record('SomeLaterKind', 'x', { hashStatus: 'Deleted' }),
    ...feedbacks.map(([feedbackValue], number) =>
      record('ImagePDQ', hashHex(number), {
        CSPFeedbacks: [{ source: 'Service', feedbackValue, tags: null }],
        hashRegions: ['UK'],
      }),
    ),
    record('ImagePDQ', 'abcd'),
    record('VideoMD5', 7),
    'no record',
  ]
  fixture.served.faults.set(1, {
    body: JSON.stringify({
      count: 16,
      nextPageToken: null,
      nextSetTimestamp: 1_390_000_000,
      hasMoreRecords: false,
      hashRecords: records,
    }),
  })
  const { texts, corrupt } = await fetchAll(fixture, await openFolder(t))
  assert.equal(corrupt, 3)
  const byId = new Map(told(texts).map((entry) => [entry[0], entry]))
  for (const [number, [feedback, opinion]] of feedbacks.entries()) {
    const expected = [
      ['Service', opinion],
      ['case', 'seed'],
    ].filter(([, word]) => word !== null)
    assert.deepEqual(byId.get(`ImagePDQ:${hashHex(number)}`)?.[3], expected, String(feedback))
  }
  assert.deepEqual(byId.get(`VideoMD5:${'ab'.repeat(16)}`)?.[1], [`md5:${'ab'.repeat(16)}`])
  const others = [...byId.values()].filter(([id]) => !/^(ImagePDQ|VideoMD5)/.test(id))
  assert.deepEqual(
    others.map(([id, [hash], , , withdrawn]) => [id.split(':')[0], hash, withdrawn]),
    [
      ['SomeLaterKind', 'somelaterkind:78', true],
      ['URL', `url:${Buffer.from('https://example.org/').toString('hex')}`, false],
      ['VideoTMK', 'tmk:', false],
    ],
  )
  assert.doesNotMatch([...byId.keys()].join(), /example/)
})

test('stopncii: a token that a former sync has left is used soon or not at all', async (t) => {
  for (const [later, asked] of [
    [HOUR / 2, 3],
    [2 * HOUR, 4],
  ] as const) {
    const [fixture, folder] = [await openStopncii(t), await openFolder(t)]
    for (let number = 1; number <= 7; number++) fixture.put(number)
    fixture.served.faults.set(2, { status: 302 })
    await assert.rejects(fetchAll(fixture, folder), { code: 'EXCHANGE_UNREADABLE' })
    fixture.clock.exchange = fixture.clock.own += later
    fixture.put(2, { negative: true })
    assert.deepEqual((await fetchAll(fixture, folder)).texts, fixture.expected())
    assert.equal(fixture.served.pages.length - 1, asked)
  }
})

test('stopncii: who has not asked for a month begins anew, and what has been withdrawn since is gone', async (t) => {
  const [fixture, folder] = [await openStopncii(t), await openFolder(t)]
  for (let number = 1; number <= 4; number++) fixture.put(number)
  await fetchAll(fixture, folder)
  fixture.forget(2)
  fixture.served.faults.set(fixture.served.pages.length + 1, {
    body: JSON.stringify({ nextPageToken: 't', nextSetTimestamp: 1, hasMoreRecords: true, hashRecords: [] }),
  })
  fixture.clock.exchange = fixture.clock.own += 31 * 24 * HOUR
  fixture.put(5)
  const { texts } = await fetchAll(fixture, folder)
  const asked = fixture.served.pages
    .slice(-2)
    .map((page) => new URL(page, 'http://x').searchParams.get('startTimestamp'))
  assert.deepEqual(asked, ['10', '10'])
  assert.deepEqual(texts, fixture.expected())
})

const good = { kind: 'ncmec', url: 'https://report.example.org/hashsharing', credentials: 'file' }
const wrong: Array<[what: string, exchanges: unknown, expected: RegExp]> = [
  ['none', {}, /exchanges: expected at least one exchange/],
  ['a name that no list can have', { 'A b': good }, /exchanges > A b/],
  ['an unknown kind', { a: { ...good, kind: 'other' } }, /exchanges > a > kind/],
  ['an unknown field', { a: { ...good, password: 'p' } }, /exchanges > a > password: there is no such field/],
  ['no credentials', { a: { ...good, credentials: undefined } }, /exchanges > a > credentials: expected string/],
  [
    'a URL without encryption',
    { a: { ...good, url: 'http://example.org/' } },
    /exchanges > a > url: expected an https URL/,
  ],
  ['a URL with a password', { a: { ...good, url: 'https://u:p@example.org/' } }, /url: expected a URL without user/],
  ['a URL with a query', { a: { ...good, url: 'https://example.org/?a' } }, /url: expected a URL without user/],
  ['no URL', { a: { ...good, url: 'report' } }, /url: expected an https URL/],
  ['a bound below nothing', { a: { ...good, mostCorrupt: -1 } }, /mostCorrupt/],
  ['another word for withdrawn', { a: { ...good, withdrawn: 'forget' } }, /withdrawn/],
]
for (const [what, exchanges, expected] of wrong) {
  test(`a file of exchanges with ${what} is refused with file, line and field`, () => {
    const text = JSON.stringify({ version: 1, exchanges }, null, 1)
    assert.throws(() => parseExchanges(text, 'e.yaml'), {
      code: 'CONFIG_INVALID',
      message: new RegExp(`^e\\.yaml, line \\d+, .*${expected.source}`),
    })
  })
}

test('exchanges are read from YAML; where they are may be left out where there is only one', () => {
  const exchanges = parseExchanges(
    `version: 1
exchanges:
  ncmec-industry: { kind: ncmec, url: https://report.example.org/hashsharing/, credentials: ncmec.credentials }
  stopncii: { kind: stopncii, credentials: stopncii.credentials, withdrawn: remove, mostCorrupt: 0 }
  te: { kind: threatexchange, file: updates.json }
`,
    'e.yaml',
  )
  assert.deepEqual(
    [...exchanges].map(([name, { source, withdrawn, mostCorrupt }]) => [name, source, withdrawn, mostCorrupt]),
    [
      ['ncmec-industry', 'ncmec https://report.example.org/hashsharing', 'keep', 10],
      ['stopncii', 'stopncii https://api.stopncii.org/v1', 'remove', 0],
      ['te', 'threatexchange updates.json', 'keep', 10],
    ],
  )
})
