/**
 * The live picture: asks for the next frame when the one before is on the screen, so that a slow phone gets fewer and never an old one.
 * Draws what was read in it. Called by main.ts.
 */
import { ApiError, type Look, look } from './api.ts'
import { byId, svg } from './dom.ts'

export interface Live {
  start(): void
  /** An old picture must not look like a live one. */
  blank(): void
  stop(): void
}

/** Units of the overlay across the picture; its height follows the picture's. */
export const OVERLAY_WIDTH = 1_000
/** After a request that failed, milliseconds. */
const RETRY_MS = 1_000

const picture = byId('picture', HTMLImageElement)
const overlay = byId('overlay', SVGSVGElement)
const stage = byId('stage', HTMLElement)
const boxes = svg('g', { class: 'boxes' })
overlay.append(boxes)

export function createLive(on: { look(look: Look): void; nothing(): void; lost(problem: ApiError): void }): Live {
  let running = 0
  let shown: string | null = null

  async function show(one: Look): Promise<void> {
    const url = URL.createObjectURL(one.jpeg)
    picture.src = url
    // The next one is asked for when this one is there to be seen.
    await picture.decode().catch(() => {})
    if (shown !== null) URL.revokeObjectURL(shown)
    shown = url
    const height = (OVERLAY_WIDTH * one.heightPx) / one.widthPx
    overlay.setAttribute('viewBox', `0 0 ${OVERLAY_WIDTH} ${height}`)
    stage.style.setProperty('--shape', `${one.widthPx} / ${one.heightPx}`)
    stage.classList.add('has-picture')
    drawReads(one)
  }

  function drawReads({ reads, widthPx }: Look): void {
    const scale = OVERLAY_WIDTH / widthPx
    boxes.replaceChildren(
      ...reads.flatMap(({ plate, region, corners }) => {
        const points = corners?.map(({ x, y }) => `${x * scale},${y * scale}`).join(' ')
        const box =
          points === undefined
            ? svg('rect', {
                ...{ x: region.x * scale, y: region.y * scale },
                ...{ width: region.width * scale, height: region.height * scale, class: 'box' },
              })
            : svg('polygon', { points, class: 'box' })
        if (plate === null) return [box]
        const text = svg('text', {
          ...{ x: (region.x + region.width / 2) * scale, y: Math.max(30, region.y * scale - 10) },
          ...{ class: 'plate-text', 'text-anchor': 'middle' },
        })
        text.textContent = plate
        return [box, text]
      }),
    )
  }

  async function run(turn: number): Promise<void> {
    let seq = 0
    while (turn === running) {
      try {
        const next = await look(seq)
        if (turn !== running) return
        if (next === null) {
          boxes.replaceChildren()
          on.nothing()
          continue
        }
        seq = next.seq
        await show(next)
        on.look(next)
      } catch (thrown) {
        if (turn !== running) return
        on.lost(thrown instanceof ApiError ? thrown : new ApiError(0, String(thrown)))
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
      }
    }
  }

  function blank(): void {
    picture.removeAttribute('src')
    stage.classList.remove('has-picture')
    boxes.replaceChildren()
  }

  return {
    start() {
      running += 1
      void run(running)
    },
    blank,
    stop() {
      running += 1
      blank()
      if (shown !== null) URL.revokeObjectURL(shown)
      shown = null
    },
  }
}
