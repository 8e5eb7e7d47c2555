import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Part, parts } from '../bench/gate-cost.ts'
import { findWrong, knownRows, makePictures, plantedIn, produceRound, ways } from '../bench/gate-items.ts'
import { openGatePlace, runGates } from '../bench/gate-run.ts'
import { skipWithoutPython } from '../foreign/foreign.ts'
import { sharedBroker } from './shared-stack.ts'

/** So many that a gate commits them little by little. */
const ITEMS = 400

// How fast, and against whom, is asked by `make bench`, on a quiet machine.
test('a round of pictures is judged, and what it costs is told', { skip: skipWithoutPython() }, async (t) => {
  const broker = await sharedBroker()
  const place = await openGatePlace(t, broker, { partitions: 1 })
  const pictures = await makePictures()
  await place.bench.importList('stand-in', knownRows(pictures, 100))
  const rounds = []
  for (const way of ways) {
    const round = await produceRound(place.bench, place.admin, pictures, { name: way.slice(0, 2), items: ITEMS, way })
    rounds.push(round)
    assert.equal(plantedIn(round), 8)
    const turn = await runGates(place, round, [{ scanners: 2, cores: null }])
    assert.ok(turn.perSecond > 0)
    for (const stage of ['resolve', 'inspect', 'match', 'commit']) {
      assert.ok((turn.stageMs[stage] ?? 0) > 0, `stage ${stage}: ${turn.stageMs[stage]} ms`)
    }
    assert.ok(turn.loopDelayMs >= 0)
    if (process.platform !== 'linux') continue
    const paid = parts.filter((part) => part !== 'idle' && (part !== 'broker' || broker !== null))
    const costOf = (part: Part): number => turn.coreMs?.[part] ?? 0
    for (const part of paid.filter((part) => part !== 'rest')) assert.ok(costOf(part) > 0, `${part}: ${costOf(part)}`)
    assert.ok(turn.gateMib > 20 && turn.scannerMib > 20, `${turn.gateMib} and ${turn.scannerMib} MiB`)
    t.diagnostic(`${way}: ${turn.perSecond.toFixed(0)} a second`)
  }
  assert.equal(await findWrong(place.bench, rounds), null)
})
