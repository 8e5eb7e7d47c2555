import { readFile } from 'node:fs/promises'
import { SluiceError } from '../domain/errors.ts'
import { parsePlan, type ReplayPlan } from '../domain/replay/replay-plan.ts'
import { openOrder, type Run, runIdOf, runKeys, stateOf } from '../domain/replay/replay-runs.ts'
import { DOOR, prefixed } from '../domain/topics.ts'
import { createKafka } from '../platform/kafka/client.ts'
import { topicBounds } from '../platform/kafka/topic-bounds.ts'
import type { Registry } from '../platform/registry.ts'
import type { Settings } from '../platform/settings.ts'
import { type RunRecord, readReplayRuns, runRecord, writeRunRecords } from './runs-topic.ts'

/** Items a second, if nothing else is said: about half of what a small gate judges, so that crawlers' items pass as well. */
export const DEFAULT_RATE = 100

export type RunWords = { who: string; why: string; rate: number; unasked: boolean }

/**
 * Asks for a plan to be carried out; a run that was stopped, was told to and no worker has heeded it, or waits for a word, is told to go on. Asked
 * twice it is the same run.
 * @returns the run's id, and how it stood before
 * @throws {SluiceError} PLAN_INVALID, RECORDS_REMOVED; ACCESS_DENIED, TOPICS_MISSING, BROKER_UNREACHABLE, REGISTRY_UNREACHABLE
 */
export async function requestRun(
  settings: Settings,
  registry: Registry,
  plan: ReplayPlan,
  { who, why, rate, unasked }: RunWords,
): Promise<{ run: string; before: 'new' | ReturnType<typeof stateOf> }> {
  await assertPossible(settings, plan)
  const run = runIdOf(plan.id)
  const known = (await readReplayRuns(settings, registry)).run(run)
  if (known !== null && known.plan !== plan.id) {
    throw new SluiceError('PLAN_INVALID', `another plan has the run id ${run} already: plan anew`)
  }
  const state = known === null ? 'requested' : stateOf(known)
  const now = Date.now()
  const partitions = plan.partitions.map(({ partition }) => partition)
  // Also what somebody who was killed while asking has left out.
  const missing = plan.partitions.filter(({ partition }) => !known?.parts.has(partition))
  const records = missing.map(({ partition, offsets, foreseen, verdictsFrom, verdictsTo, canary }): RunRecord => {
    const request = {
      plannedBy: plan.plannedBy,
      plannedAt: plan.plannedAt,
      partitions,
      offsets: Buffer.from(offsets, 'base64'),
      foreseen: Buffer.from(foreseen, 'base64'),
      verdictsFrom,
      verdictsTo,
      canary,
      attempts: plan.attempts,
      rate,
      unasked,
    }
    const record = {
      ...runRecord({ run, plan: plan.id, state: 'requested', partition }),
      updatedAt: now,
      who,
      why,
      request,
    }
    return { partition, key: runKeys.request(run), record }
  })
  await writeRunRecords(settings, registry, records)
  // The last word counts: a worker that comes now would heed the older one.
  const isToStop = known !== null && state !== 'done' && openOrder(known)?.word === 'stop'
  if (known !== null && (state === 'stopped' || state === 'waiting' || isToStop)) {
    await giveOrder(settings, registry, known, 'go-on', { who, why })
  }
  return { run, before: known === null ? 'new' : state }
}

/**
 * Says on-call's word of a run.
 * @throws {SluiceError} ACCESS_DENIED, TOPICS_MISSING, BROKER_UNREACHABLE, REGISTRY_UNREACHABLE
 */
export async function giveOrder(
  settings: Settings,
  registry: Registry,
  { id, plan, parts }: Run,
  word: 'go-on' | 'stop',
  { who, why }: { who: string; why: string },
): Promise<void> {
  const partition = Math.min(...[...parts.values()].flatMap(({ request }) => request.partitions))
  const record = { ...runRecord({ run: id, plan, state: word, partition }), who, why }
  await writeRunRecords(settings, registry, [{ partition, key: runKeys.order(id), record }])
}

/** @throws {SluiceError} PLAN_INVALID where the file is none, was changed, or is not there */
export async function readPlan(file: string): Promise<ReplayPlan> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SluiceError('PLAN_INVALID', `${file} can not be read: expected a plan's file`, { cause })
  })
  return parsePlan(text, file)
}

/** @throws {SluiceError} PLAN_INVALID for a plan of something else; RECORDS_REMOVED */
async function assertPossible(settings: Settings, plan: ReplayPlan): Promise<void> {
  const door = prefixed(settings.prefix, DOOR)
  const verdicts = prefixed(settings.prefix, 'gate.verdicts')
  const { cluster, bounds } = await topicBounds(createKafka(settings, 'sluice-replay'), verdicts)
  if (plan.cluster !== cluster || plan.topic !== door) {
    const sentence = `the plan is for ${plan.topic} of cluster ${plan.cluster}, this is ${door} of cluster ${cluster}`
    throw new SluiceError('PLAN_INVALID', `${sentence}: nothing was asked for; check SLUICE_BROKERS and SLUICE_PREFIX`)
  }
  for (const { partition, verdictsFrom, verdictsTo } of plan.partitions) {
    const found = bounds.find((each) => each.partition === partition)
    if (found !== undefined && found.low <= verdictsFrom && found.high >= verdictsTo) continue
    const sentence = `the verdicts of partition ${partition} that the plan stands on are no longer all there`
    throw new SluiceError('RECORDS_REMOVED', `${sentence}: nothing was asked for; plan anew`)
  }
}
