import { existsSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { KEEP_EVERY_LOOKS, openSceneWatch, readKept } from './scene-watch.ts'
import { createView, LEARNED_LOOKS, LIGHT_BANDS, MAX_SHIFT, VIEW_GRID, type View } from './view.ts'

const { columns: COLUMNS, rows: ROWS } = VIEW_GRID
const DAY = 140
const NIGHT = 30
const INTERVAL_MS = 5_000

interface Street {
  seed?: number
  /** Cells to the right and below. */
  right?: number
  below?: number
  /** Brightness is multiplied by this, which is how light falls. */
  light?: number
  /** A vehicle of 20 × 10 cells at this column. */
  vehicleAt?: number
  /** Of the contrast; fog leaves little. */
  contrast?: number
}

/** RGB cells of a street of boxes that reaches beyond the picture. */
function street({ seed = 3, right = 0, below = 0, light = 1, vehicleAt, contrast = 1 }: Street): Uint8Array {
  let state = seed
  const next = () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
  const values = new Float32Array(COLUMNS * ROWS).fill(60)
  for (let box = 0; box < 120; box++) {
    const left = Math.floor(next() * 2 * COLUMNS) - COLUMNS / 2 + right
    const top = Math.floor(next() * 2 * ROWS) - ROWS / 2 + below
    const side = 4 + Math.floor(next() * 14)
    const shade = 30 + next() * 190
    for (let y = Math.max(0, top); y < Math.min(ROWS, top + side); y++)
      for (let x = Math.max(0, left); x < Math.min(COLUMNS, left + side); x++) values[y * COLUMNS + x] = shade
  }
  if (vehicleAt !== undefined) {
    for (let y = 30; y < 40; y++)
      for (let x = vehicleAt; x < Math.min(COLUMNS, vehicleAt + 20); x++)
        values[y * COLUMNS + x] = (x * y) % 3 ? 210 : 20
  }
  const cells = new Uint8Array(COLUMNS * ROWS * 3)
  for (let i = 0; i < values.length; i++) {
    const value = (120 + ((values[i] ?? 0) - 120) * contrast) * light
    cells.fill(Math.min(255, Math.max(0, Math.round(value))), 3 * i, 3 * i + 3)
  }
  return cells
}

function learned(): View {
  const view = createView(null)
  for (let look = 0; look < LEARNED_LOOKS; look++)
    assert.is(view.look(street(look % 3 === 0 ? { vehicleAt: look } : {}), DAY), null)
  return view
}

/** What it says when it has seen this for some looks. */
function after(view: View, cells: Uint8Array, luminance = DAY, looks = 25) {
  let found = view.look(cells, luminance)
  for (let look = 1; look < looks; look++) found = view.look(cells, luminance)
  return found
}

test('it learns for so many looks, and then knows the view, also with other vehicles and less light', () => {
  const view = learned()
  for (const seen of [street({}), street({ vehicleAt: 50 }), street({ light: 0.5 }), street({ contrast: 0.7 })]) {
    const found = after(view, seen)
    assert.ok((found?.likeness ?? 0) > 0.85, `${found?.likeness}`)
    assert.ok(Math.abs(found?.shift.x ?? 1) * COLUMNS < 0.5, `${found?.shift.x}`)
  }
})

test('a view that has moved is measured, up to the largest displacement that is looked for', () => {
  for (const [right, below] of [
    [2, 0],
    [0, -3],
    [-9, 5],
    [MAX_SHIFT.columns, 0],
  ] as const) {
    const found = after(learned(), street({ right, below }))
    assert.ok(Math.abs((found?.shift.x ?? 0) * COLUMNS - right) < 0.6, `${right}: ${(found?.shift.x ?? 0) * COLUMNS}`)
    assert.ok(Math.abs((found?.shift.y ?? 0) * ROWS - below) < 0.6, `${below}: ${(found?.shift.y ?? 0) * ROWS}`)
  }
})

test('another view, and one displaced further than is looked for, is unlike', () => {
  assert.ok((after(learned(), street({ seed: 99 }))?.likeness ?? 1) < 0.4)
  assert.ok((after(learned(), street({ right: MAX_SHIFT.columns + 8 }))?.likeness ?? 1) < 0.5)
})

test('a covered lens leaves no detail', () => {
  const found = after(learned(), street({ contrast: 0 }), DAY, 40)
  assert.ok((found?.detail ?? 1) < 0.05, `${found?.detail}`)
})

test('a view that has moved is not learned, however long it stays so', () => {
  const view = learned()
  assert.ok((after(view, street({ right: 6 }), DAY, 60)?.shift.x ?? 0) * COLUMNS > 5)
  assert.ok((after(view, street({}))?.likeness ?? 0) > 0.85)
})

test('in the dark it says nothing, just above it does', () => {
  const view = learned()
  const [darkest] = LIGHT_BANDS
  assert.is(view.look(street({}), darkest - 0.1), null)
  assert.not(view.look(street({}), darkest) === null)
})

test('the view by lamp light is learned where it is the one that is known, and not when the camera was turned', () => {
  const night = street({ light: 0.25 })
  const view = learned()
  assert.ok((after(view, night, NIGHT)?.likeness ?? 0) > 0.5)
  assert.ok((view.kept().bands[0]?.looks ?? 0) > 5)
  const turned = learned()
  assert.ok((after(turned, street({ seed: 99, light: 0.25 }), NIGHT, 40)?.likeness ?? 1) < 0.5)
  const looks = turned.kept().bands[0]?.looks ?? 0
  after(turned, street({ seed: 99, light: 0.25 }), NIGHT, 40)
  assert.is(turned.kept().bands[0]?.looks ?? 0, looks, 'nothing more of it')
})

test('what was learned is known again after a restart', () => {
  const view = createView(learned().kept())
  assert.ok((view.look(street({}), DAY)?.likeness ?? 0) > 0.85)
})

test('under a mask nothing is compared, and nothing of it is kept', () => {
  const hidden = new Uint8Array(COLUMNS * ROWS).map((_, i) => (i % COLUMNS < COLUMNS / 3 ? 1 : 0))
  const view = createView(null)
  for (let look = 0; look < LEARNED_LOOKS; look++) view.look(street({}), DAY, hidden)
  const kept = view.kept().bands.find((band) => band !== null)?.outlines ?? new Uint8Array()
  assert.ok(kept.some((value) => value > 0))
  assert.ok(kept.every((value, i) => hidden[i] === 0 || value === 0))
  let found = view.look(street({ right: 6 }), DAY, hidden)
  for (let look = 0; look < 25; look++) found = view.look(street({ right: 6 }), DAY, hidden)
  assert.ok(Math.abs((found?.shift.x ?? 0) - 6 / COLUMNS) <= 1 / COLUMNS, `moved by ${found?.shift.x}`)
  const all = new Uint8Array(COLUMNS * ROWS).fill(1)
  const blind = createView(null)
  let seen = blind.look(street({}), DAY, all)
  for (let look = 0; look < 2 * LEARNED_LOOKS; look++) seen = blind.look(street({}), DAY, all)
  assert.ok(
    seen === null ||
      Object.values({ ...seen, ...seen.shift }).every((value) => typeof value === 'object' || Number.isFinite(value)),
  )
})

const grey = { widthPx: 1_920, heightPx: 1_080, pixels: new Uint8Array(1_920 * 1_080).fill(DAY) }

function inFolder(work: (file: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'candor-view-'))
  try {
    work(join(folder, 'view.learned'))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the watch looks every few seconds, tells the displacement in pixels, and keeps what it learned', () =>
  inFolder((file) => {
    let nowMs = 0
    const watch = openSceneWatch({ file, aim: 'north' }, () => nowMs, INTERVAL_MS)
    assert.is(watch.isDue(), true)
    for (let look = 0; look < KEEP_EVERY_LOOKS - 1; look++) watch.look(grey, street({}))
    assert.is(existsSync(file), false)
    nowMs += INTERVAL_MS - 1
    assert.is(watch.isDue(), false)
    nowMs += 1
    assert.is(watch.isDue(), true)
    const seen = watch.look(grey, street({}))
    assert.equal([seen.luminance, seen.sharpness, seen.lookMs], [DAY, null, 0])
    assert.ok((seen.likeness ?? 0) > 0.99 && seen.displacementPx === 0)
    assert.is(statSync(file).mode & 0o777, 0o600)
    const again = openSceneWatch({ file, aim: 'north' }, () => nowMs, INTERVAL_MS)
    let moved = again.look(grey, street({ right: 4 }))
    for (let look = 0; look < 25; look++) moved = again.look(grey, street({ right: 4 }))
    assert.ok(Math.abs((moved.displacementPx ?? 0) - 80) < 10, `${moved.displacementPx}`)
    assert.ok(Math.abs((moved.displacementRatio ?? 0) - 80 / 1_920) < 0.005)
  }))

test('a camera that was aimed anew learns its view anew, and one that goes back to an earlier aim too', () =>
  inFolder((file) => {
    const learn = (aim: string) => {
      const watch = openSceneWatch({ file, aim }, () => 0, INTERVAL_MS)
      const { likeness } = watch.look(grey, street({ right: aim === 'north' ? 0 : 40 }))
      for (let look = 0; look < KEEP_EVERY_LOOKS; look++) watch.look(grey, street({ right: aim === 'north' ? 0 : 40 }))
      return likeness
    }
    assert.is(learn('north'), null)
    assert.ok((learn('north') ?? 0) > 0.99)
    assert.is(learn('east'), null, 'nothing is known of it yet')
    assert.ok((learn('east') ?? 0) > 0.99)
    assert.is(learn('north'), null)
  }))

test('frames that do not follow each other have no view', () =>
  inFolder((file) => {
    const watch = openSceneWatch({ file, aim: 'north' }, () => 0, INTERVAL_MS)
    for (let look = 0; look < LEARNED_LOOKS + 1; look++) {
      const { likeness, detail, displacementPx } = watch.look(grey, null)
      assert.equal([likeness, detail, displacementPx], [null, null, null])
    }
    assert.is(existsSync(file), false)
  }))

test('a file that is damaged, cut short or of another version is as none', () =>
  inFolder((file) => {
    const watch = openSceneWatch({ file, aim: 'north' }, () => 0, INTERVAL_MS)
    for (let look = 0; look < KEEP_EVERY_LOOKS; look++) watch.look(grey, street({}))
    assert.ok(readKept({ file, aim: 'north' }) !== null)
    truncateSync(file, statSync(file).size - 1)
    assert.is(readKept({ file, aim: 'north' }), null)
    for (const text of ['', 'candor view 1\n', 'candor view 2\n', 'x'.repeat(20_000)]) {
      writeFileSync(file, text)
      assert.is(readKept({ file, aim: 'north' }), null, text.slice(0, 20))
    }
    assert.is(openSceneWatch({ file, aim: 'north' }, () => 0, INTERVAL_MS).look(grey, street({})).likeness, null)
  }))

test.run()
