import { existsSync, readFileSync } from 'node:fs'
import { descendants } from '../faults/watch-run.ts'

/** Whose time is told apart. */
export const parts = ['scanners', 'main', 'threads', 'broker', 'rest', 'idle'] as const
export type Part = (typeof parts)[number]
export const partNames: Readonly<Record<Part, string>> = {
  scanners: 'scanners',
  main: 'gate, main thread',
  threads: 'gate, other threads',
  broker: 'brokers',
  rest: 'everything else',
  idle: 'idle',
}

/** Milliseconds of a core by who has had them: since each began, so that only differences mean something. */
export type Clocks = Record<Part, number>

/** The kernel counts in hundredths of a second, whatever its own tick is. */
const TICK_MS = 10

/**
 * Reads the clocks of the processes that judge, and of the whole machine.
 * @param gates their process ids; scanners are found as their children, those that have ended included
 * @param broker null where it is unknown: its time is then among that of everything else
 * @returns null where the system does not tell
 */
export function readClocks(gates: readonly number[], broker: number | null): Clocks | null {
  if (!existsSync('/proc/self/task')) return null
  const clocks: Clocks = { scanners: 0, main: 0, threads: 0, broker: 0, rest: 0, idle: 0 }
  for (const gate of gates) {
    const { own, ended } = clockOf(`/proc/${gate}`)
    const { own: main } = clockOf(`/proc/${gate}/task/${gate}`)
    clocks.main += main
    clocks.threads += own - main
    clocks.scanners += ended
    for (const scanner of descendants(gate)) clocks.scanners += clockOf(`/proc/${scanner}`).own
  }
  if (broker !== null) clocks.broker = clockOf(`/proc/${broker}`).own
  // user, nice, system, idle, iowait, irq, softirq, steal; what guests have had is among the first two.
  const [first = ''] = textOf('/proc/stat').split('\n')
  const machine = first.split(/\s+/).slice(1, 9).map(toMilliseconds)
  clocks.idle = (machine[3] ?? 0) + (machine[4] ?? 0)
  const { idle, scanners, main, threads, broker: brokers } = clocks
  clocks.rest = machine.reduce((sum, each) => sum + each, 0) - idle - scanners - main - threads - brokers
  return clocks
}

/** The difference between two readings, for each of so many items. */
export function costEach(before: Clocks, after: Clocks, items: number): Clocks {
  const each = (part: Part): number => (after[part] - before[part]) / items
  return {
    scanners: each('scanners'),
    main: each('main'),
    threads: each('threads'),
    broker: each('broker'),
    rest: each('rest'),
    idle: each('idle'),
  }
}

/** The most memory that a process has held, in bytes; 0 where the system does not tell, or it is gone. */
export function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0) * 1024
}

/** The most memory that any of a gate's scanners of now has held, in bytes. */
export function peakScannerBytes(gate: number): number {
  return Math.max(0, ...descendants(gate).map(peakBytes))
}

/** What a process or thread has had of the cores, and its children that have ended. */
function clockOf(folder: string): { own: number; ended: number } {
  const text = textOf(`${folder}/stat`)
  // The name before it may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const [user = 0, system = 0, endedUser = 0, endedSystem = 0] = fields.slice(11, 15).map(toMilliseconds)
  return { own: user + system, ended: endedUser + endedSystem }
}

function toMilliseconds(ticks: string): number {
  return Number(ticks) * TICK_MS
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    // Gone in between.
    return ''
  }
}
