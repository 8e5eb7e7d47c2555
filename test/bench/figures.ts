import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { z } from 'zod'

const LATEST = '.sluice/bench/latest.json'
const known = z.record(z.string(), z.unknown())

/** Median, least and most of several readings. */
export type Spread = { median: number; least: number; most: number }

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  const upper = sorted[half] ?? Number.NaN
  const median = sorted.length % 2 === 1 ? upper : (upper + (sorted[half - 1] ?? Number.NaN)) / 2
  return { median, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN }
}

/** `12.3 (11.8 to 13.0)` */
export function inWords({ median, least, most }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`
}

/** Notes figures beside those of other measurements in `.sluice/bench/latest.json`: medians of ratios at its top, raw ones below. */
export function keep(ratios: Readonly<Record<string, Spread>>, raw: Readonly<Record<string, unknown>>): void {
  const before = read()
  const medians = Object.fromEntries(Object.entries(ratios).map(([name, { median }]) => [name, median]))
  const figures = { ...known.catch({}).parse(before.figures), ...ratios, ...raw }
  mkdirSync(dirname(LATEST), { recursive: true })
  writeFileSync(LATEST, `${JSON.stringify({ ...before, ...medians, machine: machine(), figures }, null, 2)}\n`)
}

function read(): Record<string, unknown> {
  try {
    return known.parse(JSON.parse(readFileSync(LATEST, 'utf8')))
  } catch {
    return {}
  }
}

function machine(): object {
  const [first] = cpus()
  return {
    processor: first?.model ?? 'unknown',
    cores: cpus().length,
    gibibytes: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()}`,
    node: process.version,
    at: new Date().toISOString(),
  }
}
