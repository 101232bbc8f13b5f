/** The evidence picture of the selected alert: fetched with the person's token, asked for again while it has not arrived. */
import { el } from './dom.ts'

/** The crop travels behind its alert; it is asked for again this often, ms. */
const ASK_AGAIN_MS = 3_000

export interface Picture {
  readonly element: HTMLElement
  /** Shows the picture of this alert; the newest `onArrived` is called once it can be seen, at once when it can. */
  show(alertId: string, version: string, onArrived: () => void): void
  isShown(alertId: string): boolean
  clear(): void
}

export function createPicture(fetchCrop: (alertId: string) => Promise<Blob | null>): Picture {
  const element = el('figure', { class: 'picture' })
  let shown: { alertId: string; version: string; url: string | null } | null = null
  let timer: number | undefined
  let arrived = () => {}

  const clear = () => {
    clearTimeout(timer)
    if (shown !== null && shown.url !== null) URL.revokeObjectURL(shown.url)
    shown = null
    arrived = () => {}
    element.replaceChildren()
  }

  async function ask(alertId: string, version: string): Promise<void> {
    const current = () => shown !== null && shown.alertId === alertId && shown.version === version
    let problem = 'The picture has not arrived yet. It is asked for again.'
    try {
      const blob = await fetchCrop(alertId)
      if (!current()) return
      if (blob !== null) {
        const url = URL.createObjectURL(blob)
        const image = el('img', { alt: 'Evidence picture of the vehicle’s plate' })
        image.addEventListener('load', () => {
          if (!current()) return
          shown = { alertId, version, url }
          arrived()
        })
        image.addEventListener('error', () => {
          if (current()) element.replaceChildren(el('p', { class: 'problem' }, 'The picture cannot be shown.'))
        })
        image.src = url
        element.replaceChildren(image)
        return
      }
    } catch (thrown) {
      if (!current()) return
      problem = `The picture cannot be fetched: ${thrown instanceof Error ? thrown.message : ''}. It is asked for again.`
    }
    element.replaceChildren(el('p', { class: 'waiting', role: 'status' }, problem))
    timer = window.setTimeout(() => void ask(alertId, version), ASK_AGAIN_MS)
  }

  return {
    element,
    show(alertId, version, onArrived) {
      if (shown !== null && shown.alertId === alertId && shown.version === version) {
        arrived = onArrived
        if (shown.url !== null) onArrived()
        return
      }
      clear()
      arrived = onArrived
      shown = { alertId, version, url: null }
      element.replaceChildren(el('p', { class: 'waiting', role: 'status' }, 'Fetching the picture…'))
      void ask(alertId, version)
    },
    isShown: (alertId) => shown !== null && shown.alertId === alertId && shown.url !== null,
    clear,
  }
}
