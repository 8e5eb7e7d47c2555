const BARS = ' ▁▂▃▄▅▆▇█'

/**
 * A curve for the terminal.
 * @param values in equal steps of time; drawn from 0 up
 * @param label what the highest value is written as
 * @returns one text of several lines, at most `width` + 12 columns wide
 */
export function plot(
  values: readonly number[],
  {
    width = 72,
    height = 6,
    label = String,
  }: { width?: number; height?: number; label?: (value: number) => string } = {},
): string {
  const columns = Math.min(width, values.length)
  // The highest of those that share a column: a peak must not get lost.
  const peaks = Array.from({ length: columns }, (_, column) => {
    const from = Math.floor((column * values.length) / columns)
    const to = Math.floor(((column + 1) * values.length) / columns)
    return Math.max(...values.slice(from, Math.max(to, from + 1)))
  })
  const top = Math.max(1, ...peaks)
  const rows = Array.from({ length: height }, (_, index) => {
    const below = height - 1 - index
    const bars = peaks.map((value) => {
      const eighths = Math.round((value / top) * height * 8) - below * 8
      return BARS[Math.max(0, Math.min(8, eighths))] ?? ' '
    })
    const name = index === 0 ? label(top) : index === height - 1 ? label(0) : ''
    return `${name.padStart(10)} │${bars.join('')}`.trimEnd()
  })
  return rows.join('\n')
}

/** Rise of the straight line that fits best. @returns per unit of `x`; 0 where there are too few points */
export function slope(points: ReadonlyArray<{ x: number; y: number }>): number {
  const meanX = mean(points.map(({ x }) => x))
  const meanY = mean(points.map(({ y }) => y))
  const spread = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  return spread === 0 ? 0 : points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0) / spread
}

/** 0 where there are none. */
export function mean(values: readonly number[]): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length
}
