/**
 * One's own second factors: authenticator app, security keys, recovery codes, and a code for a terminal. Shown when somebody asks
 * for it, or first of all when the account must add one. Called by main.ts.
 */
import { encode } from 'uqr'
import { ApiError, type PageSession } from './api.ts'
import { button, byId, el } from './dom.ts'
import * as api from './factors-api.ts'

/** Of a cell of the QR code, and of the white around it [ISO/IEC 18004: 4 cells], px and cells. */
const CELL_PX = 5
const BORDER_CELLS = 4

export interface FactorsView {
  show(session: PageSession): void
  clear(): void
}

/** `onDone`: back to the desk; `enrolled`: the session may do more than before. */
export function createFactorsView(onDone: (enrolled: boolean) => void): FactorsView {
  const place = byId('factors', HTMLElement)
  let session: PageSession | null = null

  async function render(own: PageSession, told: Node[] = []): Promise<void> {
    const mine = await api.mine(own.token)
    if (session !== own) return
    const problem = el('p', { class: 'problem', role: 'alert' })
    const password = el('input', {
      type: 'password',
      id: 'factor-password',
      autocomplete: 'current-password',
      maxlength: '256',
    })
    const keyName = el('input', {
      id: 'key-name',
      autocomplete: 'off',
      autocapitalize: 'none',
      maxlength: '32',
      value: `key-${mine.keys.length + 1}`,
    })

    /** Runs a change, and shows what it left. */
    const act = (label: string, work: () => Promise<Node[]>) =>
      button(label, 'quiet', async () => {
        problem.textContent = ''
        try {
          await render(own, await work())
        } catch (thrown) {
          problem.textContent = explain(thrown)
        }
      })
    const remove = (name: string | null) =>
      act('Remove', async () => {
        await api.remove(own.token, password.value, name)
        return []
      })

    const done = button(mine.mustEnrol ? 'Log out' : own.mustEnrol ? 'Go on' : 'Back', 'quiet', () =>
      onDone(own.mustEnrol && !mine.mustEnrol),
    )
    done.id = 'factors-done'
    const factors = el('ul', { class: 'factors' })
    if (mine.totp !== null) factors.append(el('li', {}, 'Authenticator app ', remove(null)))
    factors.append(...mine.keys.map(({ name }) => el('li', {}, `Security key ${name} `, remove(name))))
    if (!mine.mustEnrol) factors.append(el('li', {}, `${mine.recoveryCodesLeft} recovery codes left`))

    const addApp = act(mine.totp === null ? 'Add an authenticator app' : 'Replace the authenticator app', async () => {
      const { secret, uri } = await api.startTotp(own.token, password.value)
      return [appForm(own, secret, uri)]
    })
    addApp.id = 'add-app'
    const addKey = act('Add a security key', async () =>
      recoveryList(await api.addKey(own.token, password.value, keyName.value.trim())),
    )
    addKey.id = 'add-key'
    const forTerminal = act('Code for the command line', async () => [
      el(
        'p',
        {},
        'For `candor login --page-code`, within two minutes: ',
        el('code', { id: 'cli-code' }, await api.cliCode(own.token)),
      ),
    ])
    forTerminal.id = 'make-cli-code'
    const newCodes = act('New recovery codes', async () =>
      recoveryList(await api.newRecoveryCodes(own.token, password.value)),
    )

    place.replaceChildren(
      el('h1', {}, 'Second factor'),
      el(
        'p',
        { class: 'lead' },
        mine.mustEnrol
          ? 'Your account needs a second factor before anything else.'
          : 'What you show besides your password when you log in.',
      ),
      ...told,
      factors,
      el('label', { for: 'factor-password' }, 'Your password, to change anything here'),
      password,
      addApp,
      el('label', { for: 'key-name' }, 'Name of a new security key (a-z, 0-9 and -)'),
      keyName,
      addKey,
      ...(mine.mustEnrol ? [] : [newCodes, forTerminal]),
      problem,
      done,
    )
  }

  /** The secret as a picture and as text, and a field for the first code. */
  function appForm(own: PageSession, secret: string, uri: string): HTMLElement {
    const code = el('input', { id: 'app-code', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '16' })
    const problem = el('p', { class: 'problem', role: 'alert' })
    const confirm = button('Confirm', 'primary', async () => {
      try {
        await render(own, recoveryList(await api.confirmTotp(own.token, code.value)))
      } catch (thrown) {
        problem.textContent = explain(thrown)
      }
    })
    confirm.id = 'confirm-app'
    return el(
      'div',
      { class: 'panel' },
      el('p', {}, 'Scan this with your authenticator app, or type the secret:'),
      qrCode(uri),
      el('code', { id: 'app-secret' }, secret),
      el('label', { for: 'app-code' }, 'Code that the app shows'),
      code,
      problem,
      confirm,
    )
  }

  return {
    show(own) {
      session = own
      place.hidden = false
      place.replaceChildren()
      render(own).catch((thrown: unknown) => {
        place.replaceChildren(el('p', { class: 'problem', role: 'alert' }, explain(thrown)))
      })
    },
    clear() {
      session = null
      place.hidden = true
      place.replaceChildren()
    },
  }
}

function explain(thrown: unknown): string {
  if (thrown instanceof ApiError) return thrown.hint === null ? thrown.message : `${thrown.message} – ${thrown.hint}`
  return 'The security key did not answer, or was not allowed to.'
}

function recoveryList(codes: readonly string[] | null): Node[] {
  if (codes === null) return []
  return [
    el(
      'p',
      { class: 'warning' },
      'Recovery codes, for when the factor is lost. Each works once. They are not shown again.',
    ),
    el('ul', { id: 'recovery-codes' }, ...codes.map((code) => el('li', {}, el('code', {}, code)))),
  ]
}

function qrCode(text: string): HTMLCanvasElement {
  const { size, data } = encode(text, { border: BORDER_CELLS })
  const canvas = el('canvas', { role: 'img', 'aria-label': 'QR code of the secret below' })
  canvas.width = canvas.height = size * CELL_PX
  const context = canvas.getContext('2d')
  if (context === null) return canvas
  // Black on white in a dark theme too: cameras expect it.
  context.fillStyle = '#fff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = '#000'
  for (const [y, row] of data.entries()) {
    for (const [x, isDark] of row.entries()) if (isDark) context.fillRect(x * CELL_PX, y * CELL_PX, CELL_PX, CELL_PX)
  }
  return canvas
}
