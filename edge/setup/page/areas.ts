/**
 * Region of interest and privacy masks, drawn by hand over the live picture: by touch, mouse or keys. What is closed is saved at once, and
 * the unit's next picture shows it; undo takes back points, then whole changes. Called by main.ts.
 */
import {
  boundsOfPolygon,
  crossesItself,
  MIN_POLYGON_POINTS,
  MIN_REGION_SIDE,
  type Polygon,
  type PolygonPoint,
} from '../../../shared/polygon.ts'
import type { View } from './api.ts'
import { button, byId, el, svg } from './dom.ts'
import { OVERLAY_WIDTH } from './live.ts'

export interface Areas {
  /** As the unit has it. */
  show(view: View): void
  setLimits(limits: { masks: number; points: number }): void
  /** Away from this panel: nothing half drawn stays. */
  leave(): void
}

type Kind = 'region' | 'mask'

/** A finger hits a point within so much, px of the screen. */
const GRAB_PX = 26
/** By which arrow keys move the cross, as a share of the picture; with Shift the finer one. */
const [STEP, FINE_STEP] = [0.02, 0.004]
const MOST_HISTORY = 50

export function createAreas(panel: HTMLElement, save: (view: View) => Promise<void>): Areas {
  const overlay = byId('overlay', SVGSVGElement)
  const shapes = svg('g', {})
  overlay.prepend(shapes)
  let view: View = { region: null, masks: [] }
  let limits = { masks: 16, points: 32 }
  let history: View[] = []
  let drawing: { kind: Kind; points: PolygonPoint[] } | null = null
  let held: number | null = null
  let cross: PolygonPoint = [0.5, 0.5]
  let hasKeys = false

  const problem = el('p', { class: 'problem', role: 'alert' })
  const hint = el('p', { class: 'note', role: 'status' })
  const keys = el('div', { class: 'buttons' })
  const list = el('ul', { class: 'rows' })
  panel.append(
    el('h2', {}, 'Areas'),
    keys,
    hint,
    problem,
    list,
    el(
      'p',
      { class: 'note' },
      'Outside the region no plate is reported. Masks are black in everything the camera sees, shows and sends.',
    ),
  )

  const heightOf = () => overlay.viewBox.baseVal.height || OVERLAY_WIDTH * 0.5625
  const pointsText = (polygon: Polygon) => polygon.map(([x, y]) => `${x * OVERLAY_WIDTH},${y * heightOf()}`).join(' ')

  function drawShapes(): void {
    const found: SVGElement[] = []
    if (view.region !== null && drawing?.kind !== 'region') {
      const path = (polygon: Polygon) => `M${pointsText(polygon).replaceAll(' ', 'L')}Z`
      const all: Polygon = [
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ]
      found.push(
        svg('path', { d: path(all) + path(view.region), class: 'outside', 'fill-rule': 'evenodd' }),
        svg('polygon', { points: pointsText(view.region), class: 'region' }),
      )
    }
    for (const mask of view.masks) found.push(svg('polygon', { points: pointsText(mask), class: 'mask' }))
    if (drawing !== null) {
      const { points, kind } = drawing
      const isWrong = points.length > MIN_POLYGON_POINTS && crossesItself(points)
      found.push(svg('polygon', { points: pointsText(points), class: `draft ${kind}${isWrong ? ' wrong' : ''}` }))
      for (const [n, [x, y]] of points.entries()) {
        const at = { cx: x * OVERLAY_WIDTH, cy: y * heightOf() }
        found.push(svg('circle', { ...at, r: n === held ? 20 : 13, class: n === 0 ? 'point first' : 'point' }))
      }
      if (hasKeys) {
        const [x, y] = [cross[0] * OVERLAY_WIDTH, cross[1] * heightOf()]
        found.push(svg('path', { d: `M${x - 30},${y}h60M${x},${y - 30}v60`, class: 'cross' }))
      }
    }
    shapes.replaceChildren(...found)
  }

  function closable(): string | null {
    if (drawing === null) return null
    const { points, kind } = drawing
    if (points.length < MIN_POLYGON_POINTS) return `${MIN_POLYGON_POINTS - points.length} more`
    if (crossesItself(points)) return 'Lines cross: drag a point, or undo'
    const { left, right, top, bottom } = boundsOfPolygon(points)
    const isSmall = right - left < MIN_REGION_SIDE || bottom - top < MIN_REGION_SIDE
    return kind === 'region' && isSmall ? 'The region is too small for a plate' : null
  }

  /** The view as it is shown. */
  let rendered = ''

  function render(): void {
    rendered = JSON.stringify(view)
    overlay.classList.toggle('drawing', drawing !== null)
    overlay.setAttribute('tabindex', drawing === null ? '-1' : '0')
    if (drawing === null) {
      keys.replaceChildren(
        button(view.region === null ? 'Draw region' : 'Redraw region', 'primary', () => begin('region')),
        button('Draw mask', 'primary', () => begin('mask')),
        button('Undo', 'plain', undo),
      )
      const [first, second, third] = keys.querySelectorAll('button')
      if (first !== undefined && second !== undefined && view.masks.length >= limits.masks) second.disabled = true
      if (third !== undefined) third.disabled = history.length === 0
      hint.textContent = ''
    } else {
      const why = closable()
      const isFew = drawing.points.length < MIN_POLYGON_POINTS
      keys.replaceChildren(
        button('Done', 'primary', close),
        button('Undo point', 'plain', undo),
        button('Cancel', 'plain', cancel),
      )
      const done = keys.querySelector('button')
      if (done !== null) done.disabled = why !== null
      hint.textContent = isFew
        ? `Tap the corners of the ${drawing.kind} on the picture, ${why}. Keys: arrows, Enter, Backspace, Escape.`
        : (why ?? 'Tap more corners, drag them, or tap Done.')
    }
    list.replaceChildren(
      row(
        'Region',
        view.region === null ? 'the whole picture' : `${view.region.length} corners`,
        view.region === null ? null : () => change({ ...view, region: null }),
      ),
      ...view.masks.map((mask, n) =>
        row(`Mask ${n + 1}`, `${mask.length} corners`, () =>
          change({ ...view, masks: view.masks.filter((_, m) => m !== n) }),
        ),
      ),
    )
    drawShapes()
  }

  function row(name: string, what: string, remove: (() => Promise<void>) | null): HTMLElement {
    const out = remove === null ? null : button('Remove', 'plain danger', remove)
    out?.setAttribute('aria-label', `Remove ${name}`)
    return el('li', { class: 'row' }, el('strong', {}, name), el('span', { class: 'what' }, what), out)
  }

  function begin(kind: Kind): void {
    drawing = { kind, points: [] }
    problem.textContent = ''
    render()
    overlay.focus({ preventScroll: true })
    overlay.scrollIntoView({ block: 'nearest' })
  }

  async function change(next: View, isUndo = false): Promise<void> {
    const before = view
    problem.textContent = ''
    try {
      await save(next)
      if (!isUndo) history = [...history, before].slice(-MOST_HISTORY)
      view = next
    } catch (thrown) {
      problem.textContent = thrown instanceof Error ? thrown.message : 'It could not be saved.'
    }
    render()
  }

  async function close(): Promise<void> {
    if (drawing === null || closable() !== null) return
    const { kind, points } = drawing
    drawing = null
    await change(kind === 'region' ? { ...view, region: points } : { ...view, masks: [...view.masks, points] })
    keys.querySelector('button')?.focus({ preventScroll: true })
  }

  async function undo(): Promise<void> {
    if (drawing !== null) {
      drawing.points.pop()
      render()
      return
    }
    const before = history.pop()
    if (before !== undefined) await change(before, true)
  }

  function cancel(): void {
    drawing = null
    held = null
    render()
  }

  function add(point: PolygonPoint): number | null {
    if (drawing === null) return null
    if (drawing.points.length >= limits.points) {
      problem.textContent = `At most ${limits.points} corners.`
      return null
    }
    drawing.points.push(point)
    return drawing.points.length - 1
  }

  const share = (value: number) => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000

  function placeOf({ clientX, clientY }: PointerEvent): PolygonPoint {
    const { left, top, width, height } = overlay.getBoundingClientRect()
    return [share((clientX - left) / width), share((clientY - top) / height)]
  }

  function near(place: PolygonPoint): number | null {
    if (drawing === null) return null
    const { width, height } = overlay.getBoundingClientRect()
    const found = drawing.points.findIndex(
      ([x, y]) => Math.hypot((x - place[0]) * width, (y - place[1]) * height) < GRAB_PX,
    )
    return found === -1 ? null : found
  }

  overlay.addEventListener('pointerdown', (pressed) => {
    if (drawing === null || !pressed.isPrimary) return
    pressed.preventDefault()
    hasKeys = false
    const place = placeOf(pressed)
    held = near(place) ?? add(place)
    overlay.setPointerCapture(pressed.pointerId)
    render()
  })
  overlay.addEventListener('pointermove', (moved) => {
    if (drawing === null || held === null) return
    drawing.points[held] = placeOf(moved)
    drawShapes()
  })
  const release = () => {
    if (held === null) return
    held = null
    render()
  }
  overlay.addEventListener('pointerup', release)
  overlay.addEventListener('pointercancel', release)

  overlay.addEventListener('keydown', (pressed) => {
    if (drawing === null) return
    const step = pressed.shiftKey ? FINE_STEP : STEP
    const by: Record<string, PolygonPoint> = {
      ...{ ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] },
    }
    const move = by[pressed.key]
    if (move !== undefined) cross = [share(cross[0] + move[0]), share(cross[1] + move[1])]
    else if (pressed.key === 'Enter' || pressed.key === ' ') add(cross)
    else if (pressed.key === 'Backspace') void undo()
    else if (pressed.key === 'Escape') cancel()
    else if (pressed.key === 'd') void close()
    else return
    hasKeys = true
    pressed.preventDefault()
    render()
  })

  return {
    show(next) {
      view = next
      if (drawing !== null) drawShapes()
      // The same again would take the focus from under a finger or a key.
      else if (JSON.stringify(view) !== rendered) render()
      // The picture may have come since, or have another shape.
      else drawShapes()
    },
    setLimits(next) {
      limits = next
    },
    leave: cancel,
  }
}
