/** Sightings as they arrive, newest first; for those who may watch them. A matched one is left to its alert. */
import { seenAt } from '../../../shared/seen.ts'
import type { Sighting } from '../../../shared/wire/sighting.ts'
import { el, seenText } from './dom.ts'
import { confidenceText } from './words.ts'

/** Sightings on the page; older ones leave it. */
export const MAX_SIGHTINGS_SHOWN = 50

export function createSightingsView(list: HTMLElement): { add(sighting: Sighting): void; clear(): void } {
  const rows = new Map<string, HTMLElement>()
  return {
    add(sighting) {
      // The plate of a match is not shown before the officer has read it in the picture.
      const plate = sighting.match !== null ? 'on a list' : (sighting.plate ?? 'not readable')
      // A live sighting is passed on at once, so its arrival here stands for when the cloud received it.
      const { seenAtMs, clockTrusted } = seenAt(sighting, Date.now())
      const row = el(
        'li',
        { class: sighting.match !== null ? 'matched' : '' },
        el('span', { class: sighting.plate === null || sighting.match !== null ? 'plate-none' : 'plate' }, plate),
        el('span', { class: 'jurisdiction' }, sighting.match === null ? (sighting.jurisdiction?.code ?? '') : ''),
        el('span', { class: 'confidence', title: 'How sure the camera is' }, confidenceText(sighting.confidence)),
        el('span', { class: 'camera' }, sighting.cameraId),
        el('span', { class: 'when' }, ...seenText(seenAtMs, clockTrusted)),
      )
      const before = rows.get(sighting.sightingId)
      if (before === undefined) list.prepend(row)
      else before.replaceWith(row)
      rows.delete(sighting.sightingId)
      rows.set(sighting.sightingId, row)
      for (const [sightingId, oldest] of rows) {
        if (rows.size <= MAX_SIGHTINGS_SHOWN) break
        rows.delete(sightingId)
        oldest.remove()
      }
    },
    clear() {
      rows.clear()
      list.replaceChildren()
    },
  }
}
