/** Makes elements. Text is only ever set as text, so nothing that came over the wire can become markup. Used by all of the page. */

type Child = Node | string | null

export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string | boolean>> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'boolean') element.toggleAttribute(name, value)
    else element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== null))
  return element
}

export function svg(tag: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  return element
}

/** The element of the page with this id; the page and this program are built together. */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new Error(`the page has no ${id}`)
  return element
}

/** A button that runs `act` and stays disabled until it is done, so that a double tap does nothing twice. */
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

let ids = 0

/** A field with its label. */
export function field<T extends HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement>(
  label: string,
  input: T,
  note: string | null = null,
): HTMLElement {
  ids += 1
  input.id = `field-${ids}`
  return el(
    'div',
    { class: 'field' },
    el('label', { for: input.id }, label),
    input,
    note === null ? null : el('p', { class: 'note' }, note),
  )
}

export function choice(options: readonly (readonly [string, string])[], value: string): HTMLSelectElement {
  const made = el('select', {}, ...options.map(([of, label]) => el('option', { value: of }, label)))
  made.value = value
  return made
}
