/**
 * The officer's page: log in, see the link and how old the lists are, get alerts, verify them step by step. Everything that
 * changes anything goes over HTTP; MQTT only brings.
 */
import './no-code-from-text.ts'
import type { Alert } from '../../../shared/wire/alert.ts'
import { showAlerts } from './alerts-view.ts'
import * as api from './api.ts'
import { byId, duration, el } from './dom.ts'
import { createFactorsView } from './factors-view.ts'
import { alarmWords, createFleetView } from './fleet-view.ts'
import { type Link, type LinkState, openLink } from './link.ts'
import { createLoginView } from './login-view.ts'
import { createPicture } from './picture.ts'
import { createSightingsView } from './sightings-view.ts'
import { createVerifyView } from './verify-view.ts'

/** Lists and the session are looked at this often, ms. */
const STATUS_EVERY_MS = 15_000
/** Without a touch or a key for this long the page logs out, as the server would [CJIS 5.9.5, AC-11], ms. */
const IDLE_LIMIT_MS = 30 * 60_000
/** A token is renewed when less than this is left, ms. */
const RENEW_BEFORE_MS = 5 * 60_000
const KEPT = 'candor-session'

const bar = byId('bar', HTMLElement)
const desk = byId('desk', HTMLElement)
const linkChip = byId('link', HTMLElement)
const lists = byId('lists', HTMLElement)
const alertList = byId('alerts', HTMLElement)
const detail = byId('detail', HTMLElement)
const announce = byId('announce', HTMLElement)
const sightings = createSightingsView(byId('sightings', HTMLElement))

/** All that belongs to one log-in; gone at log-out. */
interface Desk {
  session: api.PageSession
  permissions: readonly string[]
  link: Link | null
  alerts: Map<string, Alert>
  details: Map<string, api.AlertDetail>
  selected: string | null
  timer: number
  linkState: LinkState
  linkSinceMs: number
}

let open: Desk | null = null
let lastTouchMs = Date.now()
/** Logged in, and able to do nothing but add a second factor. */
let enrolling: api.PageSession | null = null

const login = createLoginView(start)
const factors = createFactorsView((enrolled) => {
  factors.clear()
  if (open !== null) {
    showFleet(isFleetShown)
    return
  }
  const own = enrolling
  enrolling = null
  if (own === null) return
  if (enrolled) void start({ ...own, mustEnrol: false }).catch(() => leave('Log in again.'))
  else {
    leave('')
    api.logout(own.token).catch(() => {})
  }
})

const fleet = createFleetView({
  token: () => open?.session.token ?? '',
  mayChange: () => open?.permissions.includes('cameras.write') ?? false,
  onFailure: (thrown) => (open === null ? undefined : ended(open, thrown)),
})
const fleetButton = byId('show-fleet', HTMLButtonElement)
let isFleetShown = false

/** The cameras, or else the desk. */
function showFleet(shown: boolean): void {
  isFleetShown = shown
  desk.hidden = shown
  fleetButton.setAttribute('aria-pressed', String(shown))
  if (shown) fleet.show()
  else fleet.hide()
}

const picture = createPicture(async (alertId) => (open === null ? null : await api.crop(open.session.token, alertId)))
const verify = createVerifyView({
  place: detail,
  picture,
  onBack: () => select(null),
  mayVerify: () => open?.permissions.includes('alerts.verify') ?? false,
  account: () => open?.session.account ?? '',
  takeStep: async (alert, step) => {
    const own = open
    if (own === null) return
    try {
      takeIn(own, await api.takeStep(own.session.token, alert.alertId, step))
    } catch (thrown) {
      if (thrown instanceof api.ApiError && thrown.status === 409) await refreshSelected(own)
      throw thrown
    }
  },
})

function keep(session: api.PageSession | null): void {
  if (session === null) sessionStorage.removeItem(KEPT)
  else sessionStorage.setItem(KEPT, JSON.stringify(session))
}

function showLogin(problem: string): void {
  bar.hidden = true
  desk.hidden = true
  factors.clear()
  document.title = 'Candor'
  login.show(problem)
}

/** Leaves nothing of the log-in on the page. */
function leave(problem: string): void {
  const own = open
  open = null
  enrolling = null
  keep(null)
  if (own !== null) {
    clearInterval(own.timer)
    own.link?.close()
  }
  picture.clear()
  sightings.clear()
  verify.clear()
  fleet.clear()
  alertList.replaceChildren()
  lists.replaceChildren()
  announce.textContent = ''
  showLogin(problem)
}

function showLink(own: Desk): void {
  const words: Record<LinkState, string> = {
    connecting: 'Connecting…',
    connected: 'Connected',
    lost: `Not connected for ${duration(Date.now() - own.linkSinceMs)}`,
  }
  linkChip.textContent = words[own.linkState]
  linkChip.className = `chip ${own.linkState}`
}

function setLink(own: Desk, state: LinkState): void {
  // While it keeps trying, it stays "not connected": the officer needs to know since when.
  if (own.linkState === 'lost' && state === 'connecting') return
  if (own.linkState !== state) own.linkSinceMs = Date.now()
  own.linkState = state
  showLink(own)
}

function showLists(status: api.Status): void {
  lists.replaceChildren(
    ...status.hotlists.map(({ list, version, entries, ageMs, stale }) =>
      el(
        'span',
        { class: stale ? 'chip stale' : 'chip', title: `${entries} entries` },
        `${list} v${version}, ${duration(ageMs)} old${stale ? ', stale' : ''}`,
      ),
    ),
  )
  if (status.hotlists.length === 0) lists.replaceChildren(el('span', { class: 'chip stale' }, 'no hotlist'))
}

function render(own: Desk): void {
  showAlerts(alertList, own.alerts.values(), own.selected, own.session.account, select)
  const waiting = [...own.alerts.values()].filter((alert) => alert.state === 'raised').length
  document.title = waiting === 0 ? 'Candor' : `(${waiting}) Candor`
  const alert = own.selected === null ? undefined : own.alerts.get(own.selected)
  desk.classList.toggle('has-selection', alert !== undefined)
  if (alert === undefined) verify.clear()
  else verify.show(alert, own.details.get(alert.alertId) ?? null)
}

/** A newer revision replaces an older one, whichever way it came. */
function takeIn(own: Desk, alert: Alert): void {
  const known = own.alerts.get(alert.alertId)
  // What quiet hours held back is told of without a new revision.
  const isHeldAsBefore = JSON.stringify(known?.heldFor) === JSON.stringify(alert.heldFor)
  if (known !== undefined && (known.revision > alert.revision || (known.revision === alert.revision && isHeldAsBefore)))
    return
  own.alerts.set(alert.alertId, alert)
  if (known === undefined && alert.state === 'raised') {
    announce.textContent = `New alert, priority ${alert.match.priority}, camera ${alert.sighting.cameraId}`
  }
  if (known?.escalatedAtMs === null && alert.escalatedAtMs !== null) {
    announce.textContent = `Escalated alert, priority ${alert.match.priority}, camera ${alert.sighting.cameraId}`
  }
  render(own)
  if (own.selected === alert.alertId) void refreshSelected(own)
}

function select(alertId: string | null): void {
  const own = open
  if (own === null) return
  own.selected = alertId
  render(own)
  if (alertId === null) {
    alertList.querySelector<HTMLElement>('button')?.focus()
    return
  }
  void refreshSelected(own)
  detail.focus({ preventScroll: true })
  if (matchMedia('(max-width: 760px)').matches) scrollTo({ top: 0 })
}

/** The alert that the page's address names, `#alert=ID`: other programs lead an officer here. */
function selectFromAddress(): void {
  const alertId = /^#alert=([0-9a-f-]{36})$/.exec(location.hash)?.[1]
  if (alertId === undefined || open === null || !open.permissions.includes('alerts.read')) return
  // Used up, so that following the same link again is a change.
  history.replaceState(null, '', location.pathname)
  select(alertId)
}
addEventListener('hashchange', selectFromAddress)

async function refreshSelected(own: Desk): Promise<void> {
  const alertId = own.selected
  if (alertId === null || open !== own) return
  try {
    const shown = await api.alertDetail(own.session.token, alertId)
    if (open !== own) return
    const { alert } = shown
    own.details.set(alertId, shown)
    const known = own.alerts.get(alertId)
    // Of the same revision too: what was only counted, or held back, makes none.
    if (known === undefined || known.revision <= alert.revision) own.alerts.set(alertId, alert)
    render(own)
  } catch (thrown) {
    ended(own, thrown)
  }
}

/** Logs out when the server does not know the session any more; every other failure is shown by the link state. */
function ended(own: Desk, thrown: unknown): void {
  if (open === own && thrown instanceof api.ApiError && thrown.status === 401) {
    leave('Your session has ended. Log in again.')
  }
}

async function loadAlerts(own: Desk): Promise<void> {
  if (!own.permissions.includes('alerts.read')) return
  try {
    const alerts = await api.openAlerts(own.session.token)
    if (open !== own) return
    for (const alert of alerts) takeIn(own, alert)
    render(own)
  } catch (thrown) {
    ended(own, thrown)
  }
}

async function tick(own: Desk): Promise<void> {
  showLink(own)
  const now = Date.now()
  if (now - lastTouchMs > IDLE_LIMIT_MS) {
    await api.logout(own.session.token).catch(() => {})
    leave('Logged out after half an hour without use.')
    return
  }
  for (const [alertId, alert] of own.alerts) {
    if (alert.expiresAtMs > now) continue
    own.alerts.delete(alertId)
    own.details.delete(alertId)
  }
  try {
    if (own.session.expiresAtMs - now < RENEW_BEFORE_MS) {
      own.session = await api.renew(own.session.token)
      if (open !== own) return
      keep(own.session)
      own.link?.useToken(own.session.token)
    }
    showLists(await api.status(own.session.token))
    // What is listed and not pushed comes no other way.
    await loadAlerts(own)
  } catch (thrown) {
    ended(own, thrown)
  }
}

async function start(session: api.PageSession): Promise<void> {
  if (session.mustEnrol) {
    enrolling = session
    login.hide()
    factors.show(session)
    return
  }
  const status = await api.status(session.token)
  keep(session)
  lastTouchMs = Date.now()
  const own: Desk = {
    session,
    permissions: status.permissions,
    link: null,
    alerts: new Map(),
    details: new Map(),
    selected: null,
    timer: 0,
    linkState: 'connecting',
    linkSinceMs: Date.now(),
  }
  open = own
  const watchSightings = status.permissions.includes('sightings.watch')
  const readAlerts = status.permissions.includes('alerts.read')
  byId('live', HTMLElement).hidden = !watchSightings
  byId('no-alerts', HTMLElement).hidden = readAlerts
  byId('alerts-section', HTMLElement).hidden = !readAlerts
  detail.hidden = !readAlerts
  desk.classList.toggle('with-live', watchSightings)
  byId('who', HTMLElement).textContent = `${session.account} · ${status.agency}`
  login.hide()
  factors.clear()
  bar.hidden = false
  const seeCameras = status.permissions.includes('cameras.read')
  fleetButton.hidden = !seeCameras
  // Who sees no alerts has nothing else to look at.
  showFleet(seeCameras && (!readAlerts || location.hash === '#fleet'))
  showLists(status)
  render(own)
  own.link = openLink(
    session,
    { agency: status.agency, watchSightings, seeCameras },
    {
      onState: (state) => setLink(own, state),
      onConnected: () => void loadAlerts(own),
      onAlert: (alert) => takeIn(own, alert),
      onSighting: (sighting) => sightings.add(sighting),
      onFleetAlarm(alarm) {
        if (alarm.revision === 0) announce.textContent = `Camera ${alarm.cameraId}: ${alarmWords(alarm)}`
        fleet.changed()
      },
      onRefused: () => ended(own, new api.ApiError(401, 'refused', null)),
    },
  )
  selectFromAddress()
  own.timer = window.setInterval(() => void tick(own), STATUS_EVERY_MS)
}

byId('show-factors', HTMLButtonElement).addEventListener('click', () => {
  if (open === null) return
  desk.hidden = true
  fleet.hide()
  factors.show(open.session)
})

fleetButton.addEventListener('click', () => {
  factors.clear()
  showFleet(!isFleetShown)
})

byId('leave', HTMLButtonElement).addEventListener('click', () => {
  const token = open?.session.token
  leave('')
  if (token !== undefined) api.logout(token).catch(() => {})
})

for (const touch of ['pointerdown', 'keydown'] as const) {
  addEventListener(touch, () => {
    lastTouchMs = Date.now()
  })
}
setInterval(() => {
  if (open !== null) showLink(open)
}, 1_000)

/** A reload of the tab is no new log-in. */
const kept = sessionStorage.getItem(KEPT)
if (kept === null) {
  showLogin('')
  login
    .fromAddress()
    .then((session) => (session === null ? undefined : start(session)))
    .catch((thrown: unknown) => showLogin(thrown instanceof Error ? thrown.message : 'Log-in failed.'))
} else {
  start(JSON.parse(kept) as api.PageSession).catch((thrown: unknown) => {
    leave(
      thrown instanceof api.ApiError && thrown.status === 401
        ? 'Your session has ended. Log in again.'
        : 'Log in again.',
    )
  })
}
