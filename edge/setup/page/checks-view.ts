/** The unit's checks, as `candor doctor` has them, and its claim where it is no camera yet. Called by main.ts. */
import type { Finding, State } from './api.ts'
import * as api from './api.ts'
import { button, el, field } from './dom.ts'

export interface ChecksView {
  show(state: State): void
  /** Somebody has come to look: they are made anew. */
  enter(): void
}

export function createChecksView(panel: HTMLElement): ChecksView {
  const list = el('ul', { class: 'rows' })
  const said = el('p', { class: 'note', role: 'status' })
  const again = button('Check again', 'primary wide', run)
  panel.append(el('h2', {}, 'Checks'), list, said, again)
  let running: Promise<void> | null = null

  function run(): Promise<void> {
    running ??= check().finally(() => {
      running = null
    })
    return running
  }

  async function check(): Promise<void> {
    said.className = 'note'
    said.textContent = 'Checking…'
    try {
      const findings = await api.checks()
      list.replaceChildren(...findings.map(row))
      const bad = findings.filter(({ ok }) => ok === false).length
      const unchecked = findings.filter(({ ok }) => ok === null).length
      const well = unchecked === 0 ? 'All is well.' : `All that could be checked is well; ${unchecked} could not.`
      said.textContent = bad === 0 ? well : `${bad} of ${findings.length} need a look.`
    } catch (thrown) {
      said.className = 'problem'
      said.textContent = thrown instanceof Error ? thrown.message : 'The checks did not run.'
    }
  }

  const row = ({ name, ok, detail, hint }: Finding) =>
    el(
      'li',
      { class: ok === null ? 'row check' : ok ? 'row check good' : 'row check bad' },
      el('span', { class: 'mark' }, ok === null ? '?' : ok ? 'OK' : '!'),
      el(
        'div',
        { class: 'what' },
        el('strong', {}, name),
        el('span', {}, detail),
        ok || hint === null ? null : el('span', { class: 'note' }, hint),
      ),
    )

  return { show: () => {}, enter: () => void run() }
}

export interface FinishView {
  show(state: State): void
}

/** Claim and end of the set-up. */
export function createFinishView(panel: HTMLElement, onFinished: (camera: string) => void): FinishView {
  const claimPart = el('section', {})
  const finishPart = el('section', {})
  panel.append(claimPart, finishPart)
  let shownClaim = ''
  let camera = ''

  function showForm(state: State): void {
    const text = el('textarea', { rows: '3', autocapitalize: 'characters', spellcheck: 'false', maxlength: '32768' })
    const cloud = el('input', {
      inputmode: 'url',
      autocapitalize: 'none',
      spellcheck: 'false',
      maxlength: '300',
    })
    const pin = el('input', { autocapitalize: 'none', spellcheck: 'false', maxlength: '200' })
    const file = el('input', { type: 'file', accept: '.claim,application/json,text/plain' })
    file.addEventListener('change', async () => {
      const picked = file.files?.[0]
      if (picked !== undefined && picked.size <= 32_768) text.value = await picked.text()
    })
    const said = el('p', { class: 'problem', role: 'alert' }, state.claim.problem ?? '')
    claimPart.replaceChildren(
      el('h2', {}, 'Claim'),
      el(
        'p',
        { class: 'note' },
        'The unit belongs to no agency yet. An administrator makes a claim: candor camera claim NAME.',
      ),
      field('Claim: its code, the text that the command prints, or its file', text),
      field('Or pick the file', file),
      el(
        'details',
        {},
        el('summary', {}, 'Only a code: where the cloud is'),
        field('Cloud', cloud, 'https://…'),
        field('SHA-256 of its authority', pin),
      ),
      button('Claim this unit', 'primary wide', async () => {
        said.textContent = ''
        const more = {
          ...(cloud.value === '' ? {} : { cloud: cloud.value }),
          ...(pin.value === '' ? {} : { caSha256: pin.value }),
        }
        await api.claim({ text: text.value.trim(), ...more }).catch((thrown: unknown) => {
          said.textContent = thrown instanceof Error ? thrown.message : 'It did not work.'
        })
      }),
      said,
    )
  }

  function showClaim(state: State): void {
    const { claim } = state
    if (state.camera !== null) {
      claimPart.replaceChildren(
        el('h2', {}, 'Camera'),
        el('p', { class: 'big' }, state.camera.cameraId),
        el('p', { class: 'note' }, `of ${state.camera.agency}`),
      )
      return
    }
    if (claim.state === 'none' || claim.state === 'failed') {
      showForm(state)
      return
    }
    claimPart.replaceChildren(
      el('h2', {}, claim.state === 'waiting' ? 'Waiting for approval' : 'Asking the cloud'),
      ...(claim.fingerprint === null
        ? []
        : [
            el('p', { class: 'note' }, 'Read this out to the administrator:'),
            el('p', { class: 'big fingerprint' }, claim.fingerprint),
          ]),
      el(
        'p',
        { class: 'note' },
        claim.camera === null ? '' : `It becomes ${claim.camera}. You can go on setting it up meanwhile.`,
      ),
      el('p', { class: 'problem' }, claim.problem ?? ''),
    )
  }

  const finishSaid = el('p', { class: 'problem', role: 'alert' })
  const finishNote = el('p', { class: 'note' })
  const finishButton = button('Finish and start the camera', 'primary wide large', async () => {
    finishSaid.textContent = ''
    try {
      await api.finish()
      onFinished(camera)
    } catch (thrown) {
      finishSaid.textContent = thrown instanceof Error ? thrown.message : 'It did not work.'
    }
  })
  finishPart.append(el('h2', {}, 'Finish'), finishNote, finishButton, finishSaid)

  return {
    show(state) {
      camera = state.camera?.cameraId ?? ''
      const isReady = state.camera !== null && state.source !== null
      finishButton.disabled = !isReady
      finishNote.textContent = isReady
        ? 'Writes the configuration, closes this page for good and starts the camera. The configuration of before is kept on the unit.'
        : state.camera === null
          ? 'First the unit needs its claim.'
          : 'First choose the camera.'
      const shown = JSON.stringify([state.camera, state.claim])
      if (shown === shownClaim) return
      shownClaim = shown
      showClaim(state)
    },
  }
}
