import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'
import { SluiceError } from '../domain/errors.ts'
import type { Policy } from '../domain/judge/policy.ts'
import { inTime } from '../platform/in-time.ts'
import { createLog, type Log } from '../platform/log.ts'
import { createMetrics } from '../platform/metrics.ts'
import { readPolicy } from '../platform/read-policy.ts'
import { returnFreeMemory } from '../platform/release-memory.ts'
import { readSettings, type Settings } from '../platform/settings.ts'
import { asTable } from '../platform/table.ts'
import type { Gate } from './gate.ts'
import { createScanners, scannerMemory } from './inspect/scanners.ts'
import type { SnapshotEvent } from './keep-snapshot.ts'
import { followKnownLists, type KnownLists } from './known-lists.ts'
import { collectInThread, type ListsThread } from './lists-thread.ts'
import { createSigner } from './signer.ts'
import type { Tally } from './tally.ts'

/** A chunk is finished long before, where brokers answer. */
const STOP_MS = 60_000
const RETURN_MEMORY_MS = 20_000
/** By then all code is loaded, as a rule. What is loaded under other flags than it was kept under, by another command say, is compiled anew and kept anew, each time. */
const SPARE_AFTER_MS = 5000

/**
 * Runs a gate until it is told to stop, or has caught up.
 * @param thread where it will read its hash lists
 */
export async function runGate(options: { untilCaughtUp?: true; json?: true }, thread: ListsThread): Promise<void> {
  setTimeout(spareCollector, SPARE_AFTER_MS).unref()
  setInterval(returnFreeMemory, RETURN_MEMORY_MS).unref()
  const settings = readSettings()
  const { policy, hash } = readPolicy(settings.policy)
  const log = createLog(settings.log)
  const signer = createSigner(settings, log)
  const metrics = createMetrics()
  const scanners = createScanners({
    size: settings.scanners ?? availableParallelism(),
    memoryBytes: scannerMemory(policy.limits),
    onRestart: () => metrics.scannerRestarts.inc(),
  })
  // They start while the gate is still being loaded; it asks again, and hears then why they can't.
  scanners.prepare().catch(() => undefined)
  const lists = startLists(settings, policy, log, thread)
  let judged: Tally
  try {
    const { startGate } = await import('./gate.ts')
    judged = await serve(
      await startGate({ settings, policy, policyHash: hash, scanners, lists, signer, log, metrics }),
      options,
      log,
    )
  } finally {
    signer.stop()
    await Promise.all([scanners.close(), lists.stop()])
  }
  // The client library can leave a connection behind that nobody ends (seen after a broker was killed): it must not keep the process.
  process.stdout.write(`${options.json ? JSON.stringify(judged) : summary(judged)}\n`, () => process.exit(0))
}

/**
 * Lets the heap grow further before old objects are collected. What an item leads to lives until its chunk is committed, so nearly all of it
 * becomes old: a small heap full of it was gone through three times a second, for a tenth of all that the gate's machine did.
 */
function spareCollector(): void {
  setFlagsFromString('--heap-growing-percent=300')
}

function startLists(settings: Settings, policy: Policy, log: Log, thread: ListsThread): KnownLists {
  const onSnapshot = (event: SnapshotEvent): void =>
    log['why' in event ? 'warn' : 'info']({ event: 'lists-snapshot', ...event })
  return followKnownLists({
    policy,
    collect: (to) => collectInThread(settings, { ...to, onSnapshot }, thread),
    onTrouble: (error) => log.warn({ event: 'lists-trouble', err: error }),
    onChange: (states) => {
      for (const { list, inForce, broken } of states) {
        const { version = null, entries } = inForce ?? {}
        log.info({ event: 'list', list, version, entries: entries?.length ?? 0, broken })
      }
    },
  })
}

/** Until the gate is told to end, or has caught up. */
async function serve(gate: Gate, options: { untilCaughtUp?: true }, log: Log): Promise<Tally> {
  const told = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      let times = 0
      process.on(signal, () => {
        times += 1
        if (times > 1) process.exit(1)
        log.info({ event: 'stopping', signal })
        resolve()
      })
    }
  })
  const progress = setInterval(() => {
    const { items, outcomes } = gate.tally()
    if (options.untilCaughtUp) log.info({ event: 'progress', items, outcomes, ready: gate.readiness().ready })
  }, 2000)
  try {
    await Promise.race([told, gate.failed, ...(options.untilCaughtUp ? [gate.caughtUp()] : [])])
    // Brokers that do not answer must not keep it for as long as they don't.
    await inTime(gate.stop(), STOP_MS, stoppedLate)
  } catch (error) {
    // Nothing here can go on: the process ends, its supervisor starts a new one, and that one fences this one's lanes.
    log.error({ event: 'gate-failed', err: error })
    process.exit(1)
  } finally {
    clearInterval(progress)
  }
  return gate.tally()
}

function stoppedLate(): SluiceError {
  const sentence = `the gate could not take its leave within ${STOP_MS / 1000} s`
  return new SluiceError('BROKER_UNREACHABLE', `${sentence}; what it has not committed is judged by the next one`)
}

function summary({ items, outcomes, reasons, seconds }: Tally): string {
  const rows = [
    // Clean first: what stands below are reasons to hold.
    ...Object.entries(outcomes).sort(([a], [b]) => (a < b ? -1 : 1)),
    ...Object.entries(reasons).map(([reason, count]) => [`  ${reason}`, count] as const),
  ]
  const rate = seconds > 0 ? `, ${(items / seconds).toFixed(0)} items/s` : ''
  return `${asTable(['judged', 'items'], rows)}\n${items} items in ${seconds.toFixed(1)} s${rate}`
}
