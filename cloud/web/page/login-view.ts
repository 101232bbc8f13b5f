/**
 * The way in: password and second factor, security key, the agency's provider, and the first set-up of an installation. Hands a
 * session on; called by main.ts.
 */
import { ApiError, type PageSession, setUp } from './api.ts'
import { byId } from './dom.ts'
import * as factors from './factors-api.ts'

/** What proves, when the provider sends the browser back, that this tab began. */
const VERIFIER = 'candor-provider'

export interface LoginView {
  show(problem: string): void
  hide(): void
  /** Back from the provider: the session it stands for, or null when the address says nothing of it. */
  fromAddress(): Promise<PageSession | null>
}

export function createLoginView(onSession: (session: PageSession) => Promise<void>): LoginView {
  const place = byId('login', HTMLElement)
  const form = byId('login-form', HTMLFormElement)
  const problemLine = byId('login-problem', HTMLElement)
  const account = byId('account', HTMLInputElement)
  const password = byId('password', HTMLInputElement)
  const second = byId('second-factor', HTMLElement)
  const code = byId('code', HTMLInputElement)
  const keyButton = byId('use-key', HTMLButtonElement)
  const providerButton = byId('use-provider', HTMLButtonElement)
  const setupForm = byId('setup-form', HTMLFormElement)

  const who = () => ({ account: account.value.trim().toLowerCase(), password: password.value })

  function tell(thrown: unknown): void {
    const { message, hint } = thrown instanceof ApiError ? thrown : { message: 'That did not work.', hint: null }
    problemLine.textContent = hint === null || second.hidden ? message : `${message} – ${hint}`
  }

  /** One attempt at a time; the button that began it waits. */
  async function attempt(button: HTMLButtonElement, open: () => Promise<PageSession>): Promise<void> {
    problemLine.textContent = ''
    button.disabled = true
    try {
      await onSession(await open())
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.code === 'second_factor_required') {
        second.hidden = false
        code.focus()
      } else tell(thrown)
    } finally {
      code.value = ''
      button.disabled = false
    }
  }

  form.addEventListener('submit', (submitted) => {
    submitted.preventDefault()
    const given = code.value.trim()
    const submit = form.querySelector<HTMLButtonElement>('button[type=submit]')
    if (submit !== null)
      void attempt(submit, () => factors.login({ ...who(), ...(given === '' ? {} : { code: given }) }))
  })

  keyButton.addEventListener('click', () => {
    void attempt(keyButton, async () => factors.login({ ...who(), key: await factors.askKey(who()) }))
  })

  providerButton.addEventListener('click', () => {
    void (async () => {
      const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)))
      const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
      sessionStorage.setItem(VERIFIER, verifier)
      location.assign(`/api/v1/login/oidc?challenge=${base64url(new Uint8Array(digest))}`)
    })()
  })

  setupForm.addEventListener('submit', (submitted) => {
    submitted.preventDefault()
    const values = new FormData(setupForm)
    const value = (name: string) => String(values.get(name) ?? '')
    const first = {
      code: value('code').trim(),
      account: value('account').trim().toLowerCase(),
      password: value('password'),
    }
    setUp(first)
      .then(() => factors.login({ account: first.account, password: first.password }))
      .then((session) => {
        setupForm.reset()
        return onSession(session)
      })
      .catch((thrown: unknown) => {
        const hint = thrown instanceof ApiError && thrown.hint !== null ? ` – ${thrown.hint}` : ''
        byId('setup-problem', HTMLElement).textContent = `${thrown instanceof Error ? thrown.message : 'failed'}${hint}`
      })
  })

  factors.waysIn().then(
    ({ oidc }) => {
      providerButton.hidden = !oidc
    },
    () => {},
  )

  return {
    show(problem) {
      place.hidden = false
      problemLine.textContent = problem
      password.value = ''
      second.hidden = true
      ;(account.value === '' ? account : password).focus()
    },
    hide() {
      place.hidden = true
      password.value = ''
      second.hidden = true
      problemLine.textContent = ''
    },
    async fromAddress() {
      const found = /^#login(?:=([\w-]{43})|-refused|-not-linked)$/.exec(location.hash)
      if (found === null) return null
      history.replaceState(null, '', location.pathname)
      if (found[0] === '#login-not-linked') {
        const hint =
          'Log in as before, or ask an account administrator to reset your factors: then the provider opens it.'
        throw new ApiError(401, `Your account has a second factor here. ${hint}`, null)
      }
      const verifier = sessionStorage.getItem(VERIFIER) ?? ''
      sessionStorage.removeItem(VERIFIER)
      if (found[1] === undefined) throw new ApiError(401, 'The log-in provider did not let you in here.', null)
      return factors.loginByProvider(found[1], verifier)
    },
  }
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=+$/, '')
}
