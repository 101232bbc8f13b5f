/**
 * The set-up page: log in with the code, aim, focus, draw areas, set the camera, check, finish. Everything is asked of the unit; the page
 * keeps nothing. One hand and a thumb are enough.
 */
import * as api from './api.ts'
import { createAreas } from './areas.ts'
import { createCameraView } from './camera-view.ts'
import { createChecksView, createFinishView } from './checks-view.ts'
import { byId, el } from './dom.ts'
import { createGauges } from './gauges.ts'
import { createLive } from './live.ts'

/** Between looks at the unit's state, milliseconds. */
const STATE_EVERY_MS = 2_000
/** Touches are told of at most this often, milliseconds. */
const HERE_EVERY_MS = 30_000
/** From here on it is said that the log-in will end, milliseconds. */
const IDLE_WARNING_MS = 3 * 60_000

const TABS = ['aim', 'areas', 'light', 'checks', 'finish'] as const
type Tab = (typeof TABS)[number]

const [login, unit, done] = [byId('login', HTMLElement), byId('unit', HTMLElement), byId('done', HTMLElement)]
const code = byId('code', HTMLInputElement)
const loginProblem = byId('login-problem', HTMLElement)
const [status, idle, noPicture] = [
  byId('status', HTMLElement),
  byId('idle', HTMLElement),
  byId('no-picture', HTMLElement),
]
const panel = (tab: Tab) => byId(`panel-${tab}`, HTMLElement)

const reads = el('ol', { class: 'reads' })
panel('aim').append(
  el('h2', {}, 'Plates, as they are read'),
  reads,
  el(
    'p',
    { class: 'note' },
    'Turn the focus ring until the bar stands at its peak. Let a vehicle pass where you want to read it, and zoom until its plate is good.',
  ),
)

const gauges = createGauges(reads)
const areas = createAreas(panel('areas'), api.setView)
const cameraView = createCameraView(panel('light'))
const checksView = createChecksView(panel('checks'))
const finishView = createFinishView(panel('finish'), finished)
const live = createLive({
  look(look) {
    status.textContent = `read in ${Math.round(look.elapsedMs)} ms`
    status.className = 'chip good'
    noPicture.textContent = ''
    gauges.show(look)
  },
  nothing,
  lost: problem,
})

function nothing(): void {
  status.textContent = 'no picture'
  status.className = 'chip bad'
  gauges.clear()
  live.blank()
}

let timer = 0
let toldAtMs = 0
let isOpen = false

function problem(error: api.ApiError): void {
  if (error.status === 401) leave('Your log-in has ended. The unit shows a new code.')
  else {
    status.textContent = error.status === 0 ? 'no connection' : 'trouble'
    status.className = 'chip bad'
    noPicture.textContent = error.message
  }
}

async function refresh(): Promise<void> {
  try {
    const state = await api.state()
    if (!isOpen) return
    byId('name', HTMLElement).textContent = state.camera?.cameraId ?? 'New unit'
    if (state.problem !== null) {
      nothing()
      noPicture.textContent = state.problem
    } else if (state.live !== null && state.live.state !== 'delivering')
      noPicture.textContent =
        state.live.state === 'opening' ? 'Opening the camera…' : 'The camera gives no pictures; it is tried again.'
    gauges.setLimits(state.plateWidthPx)
    areas.setLimits(state.limits)
    areas.show(state.view)
    cameraView.show(state)
    finishView.show(state)
    const left = state.idleLeftMs ?? Number.POSITIVE_INFINITY
    idle.hidden = left > IDLE_WARNING_MS
    if (!idle.hidden) idle.textContent = `Touch the page: it closes in ${Math.ceil(left / 1_000)} s.`
  } catch (thrown) {
    if (isOpen && thrown instanceof api.ApiError) problem(thrown)
  }
}

function select(tab: Tab): void {
  for (const one of TABS) {
    const isChosen = one === tab
    panel(one).hidden = !isChosen
    const key = byId(`tab-${one}`, HTMLButtonElement)
    key.setAttribute('aria-selected', String(isChosen))
    key.tabIndex = isChosen ? 0 : -1
  }
  unit.dataset.tab = tab
  if (tab !== 'areas') areas.leave()
  if (tab === 'checks') checksView.enter()
}

function open(): void {
  isOpen = true
  login.hidden = true
  done.hidden = true
  unit.hidden = false
  loginProblem.textContent = ''
  code.value = ''
  select('aim')
  gauges.clear()
  live.start()
  void refresh()
  timer = window.setInterval(() => void refresh(), STATE_EVERY_MS)
}

function leave(why: string): void {
  close()
  login.hidden = false
  loginProblem.textContent = why
  code.focus()
}

/** Leaves nothing of what was seen on the page. */
function close(): void {
  isOpen = false
  clearInterval(timer)
  live.stop()
  gauges.clear()
  unit.hidden = true
}

function finished(camera: string): void {
  close()
  done.hidden = false
  byId('done-title', HTMLElement).textContent = `${camera} is set up`
  byId('done-text', HTMLElement).textContent =
    'The camera starts now, and this page is closed. To open it again: candor setup --reopen, on the unit.'
  byId('done-title', HTMLElement).focus()
}

byId('login-form', HTMLFormElement).addEventListener('submit', async (sent) => {
  sent.preventDefault()
  loginProblem.textContent = ''
  try {
    await api.logIn(code.value)
    open()
  } catch (thrown) {
    loginProblem.textContent = thrown instanceof Error ? thrown.message : 'It did not work.'
    code.select()
  }
})
byId('leave', HTMLButtonElement).addEventListener('click', () => {
  void api.logOut().catch(() => {})
  leave('')
})
for (const tab of TABS) {
  byId(`tab-${tab}`, HTMLButtonElement).addEventListener('click', () => select(tab))
}
byId('tab-aim', HTMLButtonElement).parentElement?.addEventListener('keydown', (pressed) => {
  const at = TABS.findIndex((tab) => `tab-${tab}` === document.activeElement?.id)
  const by = pressed.key === 'ArrowRight' ? 1 : pressed.key === 'ArrowLeft' ? -1 : 0
  const next = TABS[(at + by + TABS.length) % TABS.length]
  if (at === -1 || by === 0 || next === undefined) return
  select(next)
  byId(`tab-${next}`, HTMLButtonElement).focus()
})
for (const touched of ['pointerdown', 'keydown'] as const) {
  document.addEventListener(touched, () => {
    if (!isOpen || Date.now() - toldAtMs < HERE_EVERY_MS) return
    toldAtMs = Date.now()
    void api.here().catch(() => {})
  })
}

// A page that was loaded again is still logged in, if it was.
void api.state().then(open, () => {
  login.hidden = false
  code.focus()
})
