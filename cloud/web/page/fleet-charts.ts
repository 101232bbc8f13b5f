/** A camera's past as small line charts: drawn as SVG by hand, each with its least, mean and most in words. Called by fleet-view.ts. */
import { el, timeOf } from './dom.ts'
import type { CameraHistory } from './fleet-api.ts'

const WIDTH = 320
const HEIGHT = 72
const HOUR_MS = 3_600_000
/** Up to so long single reports are drawn, beyond it the means of hours with their least and most. */
const REPORTS_UP_TO_MS = 26 * HOUR_MS
/** A line is broken where nothing was heard for this many times the usual. */
const GAP_TIMES = 4

interface Chart {
  metric: string
  title: string
  unit: string
  digits: number
  /** The drawing reaches at least from and to here, so that noise does not look like a mountain. */
  least?: number
  most?: number
}

const CHARTS: readonly Chart[] = [
  { metric: 'vehicles', title: 'Vehicles an hour', unit: '', digits: 0, least: 0, most: 10 },
  { metric: 'read', title: 'Frames a second', unit: '', digits: 1, least: 0, most: 5 },
  { metric: 'temperature', title: 'Temperature', unit: ' °C', digits: 0, least: 20, most: 85 },
  { metric: 'luminance', title: 'Brightness of the picture', unit: '', digits: 0, least: 0, most: 255 },
  { metric: 'sharpness', title: 'Sharpness', unit: '', digits: 2, least: 0, most: 1 },
  { metric: 'displacement', title: 'View displaced, % of the width', unit: ' %', digits: 1, least: 0, most: 5 },
  { metric: 'outboxRows', title: 'Rows that wait', unit: '', digits: 0, least: 0, most: 20 },
  { metric: 'diskFree', title: 'Disk free', unit: ' %', digits: 0, least: 0, most: 100 },
]
/** Shown as parts of a hundred. */
const PERCENT: ReadonlySet<string> = new Set(['displacement', 'diskFree'])

interface Point {
  atMs: number
  least: number
  mean: number
  most: number
}

export function charts(history: CameraHistory): HTMLElement {
  const drawn = CHARTS.flatMap((chart) => {
    const points = pointsOf(history, chart.metric)
    return points.length < 2 ? [] : [figure(chart, points, history)]
  })
  if (drawn.length === 0) return el('p', { class: 'empty' }, 'Nothing is known of this time.')
  return el('div', { class: 'charts' }, ...drawn)
}

function pointsOf(history: CameraHistory, metric: string): Point[] {
  const times = PERCENT.has(metric) ? 100 : 1
  const single = (atMs: number, value: number): Point => ({ atMs, least: value, mean: value, most: value })
  if (metric === 'vehicles') return history.hours.map(({ hour, vehicles }) => single((hour + 0.5) * HOUR_MS, vehicles))
  if (history.toMs - history.fromMs <= REPORTS_UP_TO_MS && history.reports.length > 1) {
    return history.reports.flatMap(({ atMs, figures }) =>
      figures[metric] === undefined ? [] : [single(atMs, figures[metric] * times)],
    )
  }
  return history.hours.flatMap(({ hour, spreads }) => {
    const [least, mean, most] = spreads[metric] ?? []
    if (least === undefined || mean === undefined || most === undefined) return []
    return [{ atMs: (hour + 0.5) * HOUR_MS, least: least * times, mean: mean * times, most: most * times }]
  })
}

function figure(chart: Chart, points: readonly Point[], { fromMs, toMs }: CameraHistory): HTMLElement {
  const least = Math.min(...points.map((point) => point.least))
  const most = Math.max(...points.map((point) => point.most))
  const mean = points.reduce((sum, point) => sum + point.mean, 0) / points.length
  const text = (value: number) => `${value.toFixed(chart.digits)}${chart.unit}`
  const words = `least ${text(least)}, mean ${text(mean)}, most ${text(most)}`
  const bottom = Math.min(least, chart.least ?? least)
  const top = Math.max(most, chart.most ?? most, bottom + 1e-9)
  const x = (atMs: number) => Math.min(WIDTH, Math.max(0, ((atMs - fromMs) / (toMs - fromMs)) * WIDTH))
  const y = (value: number) => 2 + (HEIGHT - 4) * (1 - (value - bottom) / (top - bottom))
  const drawing = svg('svg', {
    class: 'chart',
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': `${chart.title}: ${words}`,
  })
  for (const run of runs(points)) {
    const upper = run.map((point) => `${x(point.atMs).toFixed(1)},${y(point.most).toFixed(1)}`)
    const lower = run.map((point) => `${x(point.atMs).toFixed(1)},${y(point.least).toFixed(1)}`)
    drawing.append(svg('polygon', { class: 'spread', points: [...upper, ...lower.reverse()].join(' ') }))
    const line = run.map((point) => `${x(point.atMs).toFixed(1)},${y(point.mean).toFixed(1)}`)
    drawing.append(svg('polyline', { class: 'line', points: line.join(' ') }))
  }
  return el(
    'figure',
    { class: 'chart-figure' },
    el('figcaption', {}, el('strong', {}, chart.title), el('span', { class: 'note' }, words)),
    drawing,
    el('span', { class: 'chart-axis note' }, axis(fromMs, toMs - fromMs), axis(toMs, toMs - fromMs)),
  )
}

const day = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' })

/** The time of day, over more than a day the day. */
const axis = (atMs: number, spanMs: number): Node | string =>
  spanMs <= REPORTS_UP_TO_MS ? timeOf(atMs, 'minute') : day.format(new Date(atMs))

/** Parts between which nothing was heard. */
function runs(points: readonly Point[]): Point[][] {
  const gaps = points.slice(1).map(({ atMs }, i) => atMs - (points[i]?.atMs ?? atMs))
  const usual = [...gaps].sort((a, b) => a - b)[gaps.length >> 1] ?? 0
  const found: Point[][] = [[]]
  for (const [i, point] of points.entries()) {
    if (i > 0 && (gaps[i - 1] ?? 0) > GAP_TIMES * usual) found.push([])
    found.at(-1)?.push(point)
  }
  return found
}

function svg(tag: string, attributes: Record<string, string>): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  return element
}
