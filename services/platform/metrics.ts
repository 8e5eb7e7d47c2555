import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Milliseconds between two looks at the event loop. */
const LOOP_LOOK_MS = 10

export type Metrics = ReturnType<typeof createMetrics>

/** Everything that somebody would graph, in one place; units are in the names. No label ever holds content. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  // It keeps no process running.
  const loop = monitorEventLoopDelay({ resolution: LOOP_LOOK_MS })
  loop.enable()
  return {
    registry,
    items: new Counter({
      name: 'sluice_items_total',
      help: 'Items judged and committed, by outcome',
      labelNames: ['outcome'],
      registers,
    }),
    reasons: new Counter({
      name: 'sluice_reasons_total',
      help: 'Reasons on committed verdicts (an item may have several)',
      labelNames: ['outcome', 'reason'],
      registers,
    }),
    missing: new Counter({
      name: 'sluice_missing_facts_total',
      help: 'Provenance facts that policy asks for and that items lacked, whether policy holds items for it or only counts',
      labelNames: ['outcome', 'fact'],
      registers,
    }),
    payloadBytes: new Counter({ name: 'sluice_payload_bytes_total', help: 'Payload bytes judged', registers }),
    lag: new Gauge({
      name: 'sluice_lag_items',
      help: 'Offsets of the door that are not judged; every gate tells it of all partitions: take the maximum',
      labelNames: ['partition'],
      registers,
    }),
    overdue: new Gauge({
      name: 'sluice_overdue_items',
      help: 'Items not judged after half of the retention of the door; every gate tells it of all partitions: take the maximum',
      labelNames: ['partition'],
      registers,
    }),
    paused: new Gauge({
      name: 'sluice_lane_paused',
      help: '1 while a lane waits for its surroundings, by reason',
      labelNames: ['partition', 'reason'],
      registers,
    }),
    waiting: new Gauge({
      name: 'sluice_gate_waiting',
      help: '1 while the gate as a whole waits for its surroundings, by reason',
      labelNames: ['reason'],
      registers,
    }),
    listAge: new Gauge({
      name: 'sluice_list_age_seconds',
      help: 'Time since a hash list was last checked against its source',
      labelNames: ['list'],
      registers,
    }),
    stage: new Histogram({
      name: 'sluice_stage_seconds',
      help: 'Time a chunk spends in a stage',
      labelNames: ['stage'],
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
      registers,
    }),
    loopDelay: new Gauge({
      name: 'sluice_loop_delay_seconds',
      help: 'How late the event loop came to what was due: in 99 of 100 looks no later than this, since the metrics were last asked for',
      registers,
      collect() {
        // What is measured is the time between two looks, which is never shorter than it was meant to be.
        this.set(Math.max(0, loop.percentile(99) / 1e9 - LOOP_LOOK_MS / 1000))
        loop.reset()
      },
    }),
    scannerRestarts: new Counter({
      name: 'sluice_scanner_restarts_total',
      help: 'Scanner processes that crashed or had to be killed',
      registers,
    }),
    transactionFailures: new Counter({
      name: 'sluice_transaction_failures_total',
      help: 'Transactions that failed and were judged again',
      registers,
    }),
  }
}
