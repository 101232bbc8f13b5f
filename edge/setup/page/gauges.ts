/** The focus meter, the gauge of plates' widths, and the list of what was read a moment ago, which no one keeps. Called by main.ts. */

import { FOCUS_FRAMES, FOCUS_UNKNOWN, focusText, judgeWidth, meanOf, widestOf } from '../../../shared/meters.ts'
import type { Look, Read } from './api.ts'
import { byId, el } from './dom.ts'

export interface Gauges {
  show(look: Look): void
  clear(): void
  setLimits(px: { least: number; good: number }): void
}

/** Least difference of two means of the focus, one over the frames before the other's, that counts as rising or falling, of 0-1. */
const TURN = 0.012
/** So near to the peak counts as at the peak. */
const AT_PEAK = 0.02
/** A plate's width stays on the gauge for so long when the vehicle has gone, milliseconds. */
const HELD_MS = 3_000
/** Widths up to here are on the gauge; wider ones fill it, px. */
const SCALE_PX = 160
/** Reads in the list. */
const MOST_READS = 6
/** A plate turned or seen from so far aside is read less well, degrees. */
const MOST_TILT = 12

const degreesOf = (a: { x: number; y: number }, b: { x: number; y: number }) =>
  (Math.atan2(b.y - a.y, b.x - a.x) * 180) / Math.PI

export function createGauges(list: HTMLElement): Gauges {
  const [focusValue, focusTrend] = [byId('focus-value', HTMLOutputElement), byId('focus-trend', HTMLElement)]
  const [focusBar, focusPeak] = [byId('focus-bar', HTMLElement), byId('focus-peak', HTMLElement)]
  const [focusWord, focusGauge] = [byId('focus-word', HTMLElement), byId('focus-gauge', HTMLElement)]
  const [widthValue, widthBar] = [byId('width-value', HTMLOutputElement), byId('width-bar', HTMLElement)]
  const [widthWord, widthGauge] = [byId('width-word', HTMLElement), byId('width-gauge', HTMLElement)]
  let limits = { least: 40, good: 60 }
  let recent: number[] = []
  let peak = 0
  let widthSeenAtMs = 0
  let reads: { read: Read; widthPx: number; atMs: number }[] = []

  byId('focus-reset', HTMLButtonElement).addEventListener('click', () => {
    peak = 0
    recent = []
  })

  const percent = (value: number) => `${Math.min(100, Math.max(0, 100 * value)).toFixed(1)}%`

  function showFocus(sharpness: number | null): void {
    if (sharpness === null) {
      recent = []
      focusValue.textContent = '–'
      focusTrend.textContent = ''
      focusWord.textContent = FOCUS_UNKNOWN
      focusGauge.dataset.state = 'unknown'
      focusBar.style.width = '0'
      return
    }
    recent = [...recent, sharpness].slice(-2 * FOCUS_FRAMES)
    const now = meanOf(recent.slice(-FOCUS_FRAMES))
    const change = recent.length < 2 * FOCUS_FRAMES ? 0 : now - meanOf(recent.slice(0, FOCUS_FRAMES))
    if (recent.length >= FOCUS_FRAMES) peak = Math.max(peak, now)
    const isAtPeak = peak > 0 && now >= peak - AT_PEAK
    focusValue.textContent = focusText(now)
    focusTrend.textContent = change > TURN ? '▲' : change < -TURN ? '▼' : '='
    focusTrend.dataset.turn = change > TURN ? 'up' : change < -TURN ? 'down' : 'none'
    focusBar.style.width = percent(now)
    focusPeak.style.left = percent(peak)
    focusGauge.dataset.state = isAtPeak ? 'good' : 'off'
    const way = change > TURN ? 'getting sharper' : change < -TURN ? 'getting softer: turn back' : 'steady'
    if (peak === 0) {
      focusWord.textContent = 'hold still: measuring'
      return
    }
    focusWord.textContent = isAtPeak ? `at its peak of ${focusText(peak)}` : `${way}; peak was ${focusText(peak)}`
  }

  function tiltOf({ corners }: Read): number {
    const [a, b] = corners ?? []
    return a === undefined || b === undefined ? 0 : Math.abs(degreesOf(a, b))
  }

  function showWidth(all: readonly Read[]): void {
    const widest = widestOf(all)
    if (widest === null) {
      if (Date.now() - widthSeenAtMs < HELD_MS) return
      widthValue.textContent = '–'
      widthBar.style.width = '0'
      widthGauge.dataset.state = 'unknown'
      widthWord.textContent = 'no plate in view'
      return
    }
    widthSeenAtMs = Date.now()
    const { px, state, words } = judgeWidth(widest.region.width, limits)
    const tilt = tiltOf(widest)
    widthValue.textContent = String(px)
    widthBar.style.width = percent(px / SCALE_PX)
    widthGauge.dataset.state = state
    widthWord.textContent = tilt > MOST_TILT ? `${words}; tilted ${tilt.toFixed(0)}°` : words
  }

  function showReads(look: Look): void {
    const atMs = Date.now()
    for (const read of look.reads) {
      const known = reads.findIndex((one) => one.read.plate === read.plate)
      if (known !== -1) reads.splice(known, 1)
      reads = [{ read, widthPx: read.region.width, atMs }, ...reads]
    }
    reads = reads.slice(0, MOST_READS)
    list.replaceChildren(
      ...reads.map(({ read, widthPx, atMs: seenAtMs }) =>
        el(
          'li',
          { class: seenAtMs === atMs ? 'read now' : 'read' },
          el('span', { class: read.plate === null ? 'plate unread' : 'plate' }, read.plate ?? 'not readable'),
          el(
            'span',
            { class: 'facts' },
            read.jurisdiction ?? '',
            el('span', {}, `${Math.round(widthPx)} px`),
            el('span', {}, `${Math.round(100 * read.confidence)} %`),
          ),
        ),
      ),
    )
  }

  return {
    show(look) {
      showFocus(look.sharpness)
      showWidth(look.reads)
      showReads(look)
    },
    clear() {
      recent = []
      reads = []
      list.replaceChildren()
      showFocus(null)
      focusWord.textContent = 'no picture'
      widthSeenAtMs = 0
      showWidth([])
    },
    setLimits(px) {
      limits = px
      const at = (value: number) => `${(100 * value) / SCALE_PX}%`
      widthGauge.style.setProperty('--least', at(px.least))
      widthGauge.style.setProperty('--good-at', at(px.good))
    },
  }
}
