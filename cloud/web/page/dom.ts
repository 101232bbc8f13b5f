/** Makes elements. Text is only ever set as text, so nothing that came over the wire can become markup. */

type Child = Node | string | null

interface Attributes {
  class?: string
  id?: string
  title?: string
  for?: string
  type?: string
  name?: string
  value?: string
  role?: string
  tabindex?: string
  href?: string
  datetime?: string
  autocomplete?: string
  autocapitalize?: string
  inputmode?: string
  maxlength?: string
  pattern?: string
  alt?: string
  rows?: string
  'aria-label'?: string
  'aria-live'?: string
  'aria-current'?: string
  'aria-pressed'?: string
  'aria-describedby'?: string
  required?: boolean
  disabled?: boolean
  spellcheck?: 'false'
}

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'boolean') element.toggleAttribute(name, value)
    else if (value !== undefined) element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

/** The element of the page with this id; the page and this program are built together. */
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`)
  return element
}

/** A button that runs `act` and stays disabled until it is done, so that a double click does nothing twice. */
export function button(label: string, className: string, act: () => Promise<void> | void): HTMLButtonElement {
  const made = el('button', { type: 'button', class: className }, label)
  made.addEventListener('click', () => {
    made.disabled = true
    Promise.resolve(act()).finally(() => {
      made.disabled = false
    })
  })
  return made
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })

const minute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** `14:03:27`, or `14:03`, with the day in its title. */
export function timeOf(atMs: number, to: 'second' | 'minute' = 'second'): HTMLElement {
  const at = new Date(atMs)
  const text = (to === 'second' ? time : minute).format(at)
  return el('time', { datetime: at.toISOString(), title: day.format(at) }, text)
}

/** When a vehicle was seen, marked when it is the time at which the cloud received it: the camera's clock was not trusted. */
export function seenText(seenAtMs: number, clockTrusted: boolean): (HTMLElement | string)[] {
  return [timeOf(seenAtMs), clockTrusted ? '' : ' (received)']
}

/** `12 s`, `4 min`, `3 h`, `2 days`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`
}
