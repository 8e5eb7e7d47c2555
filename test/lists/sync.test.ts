import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'node:test'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { audit } from '../integration/audit.ts'
import { startSluice } from '../integration/gate-process.ts'
import { type Bench, openBench } from '../integration/harness.ts'
import { crawlItem, type Photograph, pdq, photograph } from '../integration/items.ts'
import { openNcmec, SECRET } from './exchanges/servers.ts'

/** A bench with an exchange of entries that is asked by the command, as somebody would call it. */
async function openExchange(t: Parameters<typeof openNcmec>[0] & Parameters<typeof openBench>[0]) {
  const [bench, fixture] = [await openBench(t, { partitions: 1 }), await openNcmec(t)]
  fixture.clock.exchange = Date.now()
  const path = join(bench.folder, 'exchanges.yaml')
  await writeFile(path, JSON.stringify({ version: 1, exchanges: { 'stand-in': fixture.settings } }))
  const environment = {
    ...bench.environment,
    SLUICE_EXCHANGES: path,
    SLUICE_EXCHANGE_STATE: join(bench.folder, 'state'),
  }
  const sync = (words: readonly string[] = [], expectedCode = 0) => call(['sync', ...words], expectedCode)
  async function call(words: readonly string[], expectedCode = 0) {
    const command = startSluice(['lists', ...words], environment)
    const { code } = await command.ended
    assert.equal(code, expectedCode, command.stderr())
    assert.doesNotMatch(command.stdout() + command.stderr(), new RegExp(SECRET))
    return command
  }
  /** Syncs, and kills the process while it waits for the page after so many more. */
  async function killedAfter(pages: number) {
    const last = fixture.served.pages.length + pages + 1
    fixture.served.faults.set(last, 'hang')
    const command = startSluice(['lists', 'sync', 'stand-in'], environment)
    fixture.served.onPage = (number) => {
      if (number === last) command.kill('SIGKILL')
    }
    assert.equal((await command.ended).signal, 'SIGKILL', command.stderr())
  }
  return { bench, fixture, sync, call, killedAfter }
}

async function publish(bench: Bench, items: Readonly<Record<string, Photograph>>): Promise<void> {
  const messages = Object.entries(items).map(async ([id, name]) => {
    const value = await bench.registry.encode('crawl.items', crawlItem(id, { inline: photograph(name) }))
    return { key: id, value }
  })
  await bench.produce('crawl.items', await Promise.all(messages))
  assert.equal((await bench.startGate({ words: ['--until-caught-up'] }).ended).code, 0)
}

test('a sync that is killed at page after page ends with the right list, and the gate judges by what its members think', {
  skip: skipWithoutPython(),
}, async (t) => {
  const { bench, fixture, sync, killedAfter } = await openExchange(t)
  const value = async (name: Photograph) => (await pdq(photograph(name))).hex
  const long = { at: Date.UTC(2013, 0) }
  fixture.put(1, { value: await value('nagasaki-boats'), ...long })
  fixture.put(2, { value: await value('airplane-from-above'), negative: true, ...long })
  fixture.put(3, { value: await value('locomotion-house-cat'), ...long })
  for (let number = 4; number <= 7; number++) fixture.put(number, long)
  fixture.put(8)

  for (let page = 0; page < 4; page++) await killedAfter(page === 0 ? 0 : 1)
  await killedAfter(100)
  const report = JSON.parse((await sync(['stand-in', '--json'])).stdout())
  assert.deepEqual([report.entries, report.added, report.read, report.corrupt], [8, 8, 8, 0])
  // Only the pages that were being waited for when the process was killed have been asked for twice.
  assert.equal(new Set(fixture.served.pages).size, fixture.served.pages.length - 5)

  const topicEnd = await bench.endOf('gate.hash-entries')
  await sync(['stand-in'])
  assert.equal(
    await bench.endOf('gate.hash-entries'),
    topicEnd + 1,
    'a list that is as it was gets a new manifest alone',
  )

  await publish(bench, {
    boats: 'nagasaki-boats',
    plane: 'airplane-from-above',
    cat: 'locomotion-house-cat',
    leaves: 'acanthus-mollis',
  })
  fixture.clock.exchange = Date.now()
  fixture.remove(3)
  assert.match((await sync(['stand-in'])).stdout(), /│ stand-in +│ 8 +│ 0 +│ 1 +│ 0 +│ 7 +│ 1 +│ 2 +│ 0 /)
  await publish(bench, { 'cat-again': 'locomotion-house-cat' })

  const fates = (await audit(bench)).map(({ verdict, outcome, reasons }) => [
    verdict.itemId,
    outcome,
    ...reasons,
    ...verdict.matches.map(({ entry, standing, enforced }) => `${entry} ${standing} ${enforced}`),
  ])
  assert.deepEqual(fates.sort(), [
    ['boats', 'quarantine', 'KNOWN_NEAR', 'image:42:e1 positive true'],
    ['cat', 'quarantine', 'KNOWN_NEAR', 'image:42:e3 positive true'],
    ['cat-again', 'clean', 'KNOWN_SHADOW', 'image:42:e3 withdrawn false'],
    ['leaves', 'clean'],
    ['plane', 'review', 'KNOWN_DOUBTED', 'image:42:e2 disputed true'],
  ])
  const [list] = JSON.parse((await bench.sluice(['lists', 'status', '--json'])).stdout())
  assert.deepEqual(
    [list.entries, list.signals, list.matchable, list.unmatchable, list.standings],
    [
      8,
      { pdq: 8, photodna: 8, videntifier: 8 },
      { entries: 8, hashes: 8 },
      { entries: 0, hashes: 16 },
      { positive: 6, disputed: 1, seed: 0, negative: 0, withdrawn: 1 },
    ],
  )
})

test('a sync tells with its exit code whether its use or the exchange is wrong, and leaves the list as it is', async (t) => {
  const { bench, fixture, sync } = await openExchange(t)
  assert.match((await sync(['other'], 2)).stderr(), /exchanges\.yaml names no such exchange; it has stand-in \[USAGE\]/)
  fixture.served.faults.set(1, { status: 401 })
  assert.match((await sync(['stand-in'], 2)).stderr(), /does not accept the credentials in .*\[CONFIG_INVALID\]/)
  fixture.served.faults.set(2, { status: 302 })
  assert.match((await sync(['stand-in'], 1)).stderr(), /status 302.*\[EXCHANGE_UNREADABLE\]/)
  assert.match((await sync(['--help'])).stdout(), /Example:\n {2}sluice lists sync ncmec-industry/)
  assert.equal(await bench.endOf('gate.hash-entries'), 0)
})

test('what an exchange has can be tried without becoming a version, and becomes one afterwards all the same', async (t) => {
  const { bench, fixture, sync, call } = await openExchange(t)
  for (let number = 1; number <= 3; number++) fixture.put(number)
  for (let time = 0; time < 2; time++) {
    const plan = JSON.parse((await call(['plan', '--exchange', 'stand-in', '--json'])).stdout())
    assert.deepEqual(
      [plan.entries, plan.floods, plan.shrinks],
      [{ before: 0, after: 3, lost: 0, news: 3, gone: 0 }, [], null],
    )
  }
  assert.equal(await bench.endOf('gate.hash-entries'), 0)
  const report = JSON.parse((await sync(['stand-in', '--json'])).stdout())
  assert.deepEqual([report.entries, report.added], [3, 3])
  for (const words of [['plan'], ['plan', 'file', '--exchange', 'stand-in'], ['plan', 'file']]) {
    assert.match((await call(words, 2)).stderr(), /expected either FILE --list NAME, or --exchange NAME/)
  }
})
