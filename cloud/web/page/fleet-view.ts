/**
 * The fleet: how each camera is, what is wrong with it, what it was, and which units ask to become cameras. For people who may see cameras;
 * what changes anything needs the right to change them. Called by main.ts.
 */
import type { AlarmKind, FleetAlarm } from '../../../shared/wire/fleet.ts'
import { settingsText } from '../../../shared/wire/roll-out.ts'
import { ApiError } from './api.ts'
import { claimCards } from './claims-view.ts'
import { button, byId, duration, el, timeOf } from './dom.ts'
import * as api from './fleet-api.ts'
import { charts } from './fleet-charts.ts'

/** What is shown is asked for anew this often, ms. */
const REFRESH_EVERY_MS = 15_000
const HOUR_MS = 3_600_000
const MAX_NOTE = '300'
const SPANS = [
  ['24 hours', 24],
  ['7 days', 168],
  ['30 days', 720],
] as const

const ALARM_WORDS: Readonly<Record<AlarmKind, string>> = {
  quiet: 'nothing heard',
  reads_low: 'far fewer vehicles than usual',
  dark: 'picture dark',
  covered: 'lens covered',
  blurred: 'out of focus',
  moved: 'view has moved',
  hot: 'hot',
  throttled: 'slowed down by heat or power',
  under_voltage: 'power too weak',
  disk: 'disk nearly full',
  clock: 'clock wrong',
  outbox_age: 'sightings wait too long',
  rejected: 'broken pictures',
  not_reading: 'plates are not read',
  dropping: 'sightings are lost',
  source_down: 'no pictures from the lens',
  claim_misused: 'claim used twice',
}

/** What the page calls it. */
export const alarmWords = ({ kind, detail }: Pick<FleetAlarm, 'kind' | 'detail'>): string =>
  kind === 'quiet' && detail.neverHeard === true ? 'never heard of since it was approved' : ALARM_WORDS[kind]

export interface FleetView {
  show(): void
  hide(): void
  /** An alarm has come over the link. */
  changed(): void
  clear(): void
}

export interface FleetViewDeps {
  token: () => string
  mayChange: () => boolean
  /** The session has ended, perhaps. */
  onFailure: (thrown: unknown) => void
}

export function createFleetView(deps: FleetViewDeps): FleetView {
  const place = byId('fleet', HTMLElement)
  const summary = el('p', { class: 'lead', role: 'status' })
  const problem = el('p', { class: 'problem', role: 'alert' })
  const authority = el('div')
  const claims = el('div')
  const list = el('div', { class: 'fleet-list' })
  const detail = el('section', { class: 'panel fleet-detail', tabindex: '-1', 'aria-label': 'Camera' })
  let now: api.FleetNow | null = null
  let selected: string | null = null
  let hours: number = SPANS[0][1]
  let timer = 0
  /** The newest question alone is shown. */
  let asked = 0

  async function run(work: () => Promise<void>): Promise<void> {
    problem.textContent = ''
    try {
      await work()
      await refresh(true)
    } catch (thrown) {
      problem.textContent = explain(thrown)
      deps.onFailure(thrown)
    }
  }

  /** `whole`: also what a person may be typing into. */
  async function refresh(whole: boolean): Promise<void> {
    const turn = ++asked
    const token = deps.token()
    const [fleet, waiting] = await Promise.all([api.fleetNow(token), api.openClaims(token)])
    if (turn !== asked || place.hidden) return
    now = fleet
    renderList()
    const isTyping = place.contains(document.activeElement) && document.activeElement?.matches('input, select') === true
    if (!whole && isTyping) return
    const cards = claimCards(waiting, { token: deps.token, mayDecide: deps.mayChange(), run })
    claims.replaceChildren(...(cards === null ? [] : [cards]))
    await renderDetail()
  }

  function renderList(): void {
    if (now === null) return
    const { cameras } = now
    const wrong = cameras.filter(({ state }) => state === 'alarm').length
    const online = cameras.filter((one) => one.online).length
    summary.textContent =
      cameras.length === 0
        ? 'No camera is registered.'
        : `${cameras.length} cameras, ${online} online, ${wrong === 0 ? 'no alarm' : `${wrong} with alarms`}.`
    authority.replaceChildren(...now.authority.warnings.map((text) => el('p', { class: 'warning' }, text)))
    const head = [
      'Camera',
      'State',
      'Heard',
      'Frames/s',
      'Vehicles/h',
      'Heat',
      'Disk free',
      'Waiting',
      'Lists',
      'Settings',
    ]
    // Those with alarms first: on a phone the others are far below.
    const sorted = [...cameras].sort((a, b) => b.alarms.length - a.alarms.length || (a.camera < b.camera ? -1 : 1))
    const table = el('table', { class: 'fleet-table' })
    table.append(
      el('thead', {}, el('tr', {}, ...head.map((text) => scoped('col', text)))),
      el('tbody', {}, ...sorted.map((camera) => row(camera, head))),
    )
    const focused = document.activeElement?.getAttribute('data-camera') ?? null
    list.replaceChildren(...(cameras.length === 0 ? [] : [table]))
    if (focused !== null) list.querySelector<HTMLElement>(`button[data-camera="${focused}"]`)?.focus()
  }

  function row(one: api.FleetCamera, head: readonly string[]): HTMLElement {
    const { figures } = one
    const open = button(one.camera, 'link', () => select(one.camera))
    open.dataset.camera = one.camera
    if (one.camera === selected) open.setAttribute('aria-current', 'true')
    const heard = one.lastHeardAtMs === null ? 'never' : `${duration((now?.nowMs ?? 0) - one.lastHeardAtMs)} ago`
    const cells: (Node | string)[] = [
      open,
      stateOf(one),
      `${heard}${one.online ? '' : ', offline'}`,
      figureText(figures.read, 1),
      `${one.vehiclesThisHour} (${one.vehiclesLastHour})`,
      figureText(figures.temperature, 0, ' °C'),
      figureText(figures.diskFree === undefined ? undefined : 100 * figures.diskFree, 0, ' %'),
      figureText(figures.outboxRows, 0),
      one.hotlists.map(({ list: name, version, stale }) => `${name} v${version}${stale ? ' stale' : ''}`).join(', ') ||
        '–',
      settingsText(one.settings, one.settingsMeant) || '–',
    ]
    const made = el('tr', { class: one.state })
    for (const [i, cell] of cells.entries()) {
      const data = i === 0 ? scoped('row', cell) : el('td', {}, cell)
      // What the cell is, where there are no columns.
      data.dataset.label = head[i] ?? ''
      made.append(data)
    }
    return made
  }

  function select(camera: string): void {
    selected = camera
    renderList()
    void run(async () => {}).then(() => {
      detail.focus({ preventScroll: true })
      detail.scrollIntoView({ block: 'nearest' })
    })
  }

  async function renderDetail(): Promise<void> {
    const one = now?.cameras.find(({ camera }) => camera === selected)
    detail.hidden = one === undefined
    if (one === undefined) return
    const toMs = now?.nowMs ?? Date.now()
    const past = await api.history(deps.token(), one.camera, toMs - hours * HOUR_MS, toMs)
    if (one.camera !== selected) return
    const { versions, dataEncrypted } = one
    const data = dataEncrypted === null ? undefined : dataEncrypted ? 'data encrypted' : 'data not encrypted'
    const software = versions === null ? undefined : `Candor ${versions.software}`
    const facts = [software, versions?.node, versions?.system, versions?.image, data].filter(
      (text) => text !== undefined,
    )
    detail.replaceChildren(
      el('h2', {}, one.camera),
      ...(facts.length === 0 ? [] : [el('p', { class: 'note' }, facts.join(' · '))]),
      ...one.alarms.map(alarmCard),
      ...service(one),
      spanChoice(),
      charts(past),
    )
  }

  function alarmCard(alarm: FleetAlarm): HTMLElement {
    const { acknowledged, kind } = alarm
    const figures = Object.entries(alarm.detail).map(([name, value]) => `${name} ${value}`)
    const made = el('article', { class: 'alarm-card' }, el('h3', {}, alarmWords(alarm)))
    made.dataset.kind = kind
    made.append(
      el(
        'p',
        { class: 'note' },
        'since ',
        timeOf(alarm.raisedAtMs),
        figures.length === 0 ? '' : ` · ${figures.join(', ')}`,
      ),
    )
    if (acknowledged !== null) {
      made.append(el('p', {}, `Seen by ${acknowledged.by}: ${acknowledged.note}`))
      return made
    }
    if (!deps.mayChange()) return made
    const id = `note-${alarm.alarmId}`
    const note = el('input', { id, maxlength: MAX_NOTE, autocomplete: 'off' })
    const done = button('Acknowledge', 'primary', () =>
      run(() => api.acknowledge(deps.token(), alarm.alarmId, note.value.trim())),
    )
    made.append(el('label', { for: id }, 'What is done about it'), note, done)
    return made
  }

  function service(one: api.FleetCamera): HTMLElement[] {
    const { maintenance, camera } = one
    const told =
      maintenance === null
        ? null
        : el(
            'p',
            { class: 'warning' },
            'Serviced until ',
            timeOf(maintenance.untilMs, 'minute'),
            ` by ${maintenance.by}: ${maintenance.note}`,
          )
    if (!deps.mayChange()) return told === null ? [] : [told]
    if (told !== null) {
      const end = button('End the service', 'quiet', () =>
        run(() => api.setMaintenance(deps.token(), camera, null, 'ended on the page')),
      )
      return [told, end]
    }
    const note = el('input', { id: 'service-note', maxlength: MAX_NOTE, autocomplete: 'off' })
    const start = button('No alarms for 2 hours', 'quiet', () =>
      run(() => api.setMaintenance(deps.token(), camera, Date.now() + 2 * HOUR_MS, note.value.trim())),
    )
    return [
      el(
        'details',
        { class: 'service' },
        el('summary', {}, 'Somebody works at this camera'),
        el('label', { for: 'service-note' }, 'What is done'),
        note,
        start,
      ),
    ]
  }

  function spanChoice(): HTMLElement {
    const made = el('div', { class: 'spans', role: 'group', 'aria-label': 'Time shown' })
    for (const [label, span] of SPANS) {
      const choose = button(label, 'quiet', () => {
        hours = span
        return run(async () => {})
      })
      choose.setAttribute('aria-pressed', String(span === hours))
      made.append(choose)
    }
    return made
  }

  const again = (whole: boolean) => {
    refresh(whole).catch((thrown: unknown) => {
      problem.textContent = explain(thrown)
      deps.onFailure(thrown)
    })
  }

  return {
    show() {
      place.hidden = false
      if (place.childElementCount === 0) {
        place.append(
          el('h1', {}, 'Cameras'),
          summary,
          problem,
          authority,
          claims,
          el('div', { class: 'fleet-both' }, list, detail),
        )
      }
      detail.hidden = selected === null
      problem.textContent = ''
      again(true)
      clearInterval(timer)
      timer = window.setInterval(() => again(false), REFRESH_EVERY_MS)
    },
    hide() {
      place.hidden = true
      clearInterval(timer)
    },
    changed() {
      if (!place.hidden) again(false)
    },
    clear() {
      clearInterval(timer)
      place.hidden = true
      place.replaceChildren()
      for (const part of [authority, claims, list, detail]) part.replaceChildren()
      now = null
      selected = null
    },
  }
}

function scoped(scope: 'col' | 'row', content: Node | string): HTMLTableCellElement {
  const cell = el('th', {}, content)
  cell.scope = scope
  return cell
}

function stateOf(one: api.FleetCamera): HTMLElement {
  if (one.state === 'serviced') return el('span', { class: 'chip' }, 'serviced')
  if (one.state === 'new') return el('span', { class: 'chip' }, 'never heard of')
  if (one.alarms.length === 0) return el('span', { class: 'chip connected' }, 'well')
  return el(
    'span',
    { class: 'chips' },
    ...one.alarms.map(({ acknowledged, ...alarm }) =>
      el(
        'span',
        { class: acknowledged === null ? 'chip lost' : 'chip stale' },
        `${alarmWords(alarm)}${acknowledged === null ? '' : ', seen'}`,
      ),
    ),
  )
}

const figureText = (value: number | undefined, digits: number, unit = '') =>
  value === undefined ? '–' : `${value.toFixed(digits)}${unit}`

function explain(thrown: unknown): string {
  if (thrown instanceof ApiError) return thrown.hint === null ? thrown.message : `${thrown.message} – ${thrown.hint}`
  return 'The cloud answered with something that this page does not understand. Reload it.'
}
