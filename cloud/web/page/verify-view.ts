/**
 * One alert, step by step: the picture first, then what the officer reads in it, and only then what the machine read and what
 * the list says. The server refuses a skipped step; the page only shows the one that is due.
 */

import { normalisePlate } from '../../../shared/plate.ts'
import { type Alert, type AlertOutcome, type AlertStep, CLOSING_OUTCOMES } from '../../../shared/wire/alert.ts'
import { type AlertDetail, ApiError } from './api.ts'
import { button, el, seenText, timeOf } from './dom.ts'
import { holderLine, marksOf, trailOf } from './flow-view.ts'
import type { Picture } from './picture.ts'
import {
  categoryText,
  confidenceText,
  isReadShown,
  KIND_WORDS,
  OUTCOME_WORDS,
  readText,
  STATE_WORDS,
  STEP_WORDS,
} from './words.ts'

const DAY_MS = 24 * 60 * 60 * 1_000

export interface VerifyView {
  show(alert: Alert, detail: AlertDetail | null): void
  clear(): void
}

export interface VerifyDeps {
  place: HTMLElement
  picture: Picture
  takeStep: (alert: Alert, step: AlertStep) => Promise<void>
  onBack: () => void
  /** false: this person sees alerts and takes no steps. */
  mayVerify: () => boolean
  /** Who is logged in. */
  account: () => string
}

type Field = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement
const isChecked = (field: Field) => field instanceof HTMLInputElement && field.checked

/** Of a misread, what the plate says; not before the picture is compared. */
function saysOf(alert: Alert, { outcome, correctPlate }: AlertDetail['steps'][number]): string {
  if (outcome !== 'misread' || !isReadShown(alert)) return ''
  return correctPlate === null ? ': misread, the plate cannot be read' : `: misread, the plate says ${correctPlate}`
}

export function createVerifyView({ place, picture, takeStep, onBack, mayVerify, account }: VerifyDeps): VerifyView {
  let shownKey = ''
  let shownState = ''

  function showEmpty(): void {
    picture.clear()
    shownKey = ''
    shownState = ''
    place.replaceChildren(el('p', { class: 'empty' }, 'Choose an alert to verify it.'))
  }

  /**
   * What was typed, and which forms were open, stays when the alert changes under it (the vehicle was seen again) but not when it has
   * another state. Returns what puts it back.
   */
  function keepTyped(alert: Alert): () => void {
    if (shownState !== `${alert.alertId} ${alert.state}`) return () => {}
    const fields = () => [...place.querySelectorAll<Field>('input, select, textarea')]
    const forms = () => [...place.querySelectorAll('details')]
    const typed = new Map(fields().map((field) => [field.name, { value: field.value, checked: isChecked(field) }]))
    const open = forms().map((one) => one.open)
    return () => {
      for (const [i, one] of forms().entries()) one.open = open[i] ?? one.open
      for (const field of fields()) {
        const before = typed.get(field.name)
        if (before === undefined) continue
        if (field instanceof HTMLInputElement && field.type === 'checkbox') field.checked = before.checked
        else field.value = before.value
        field.dispatchEvent(new Event('change'))
      }
    }
  }

  function form(
    label: string,
    problem: HTMLElement,
    fields: HTMLElement[],
    makeStep: (values: FormData) => AlertStep,
    alert: Alert,
  ) {
    const submit = el('button', { type: 'submit', class: 'primary' }, label)
    const made = el('form', { class: 'step-form' }, ...fields, problem, submit)
    made.addEventListener('submit', (submitted) => {
      submitted.preventDefault()
      problem.textContent = ''
      if (!made.reportValidity()) return
      submit.disabled = true
      takeStep(alert, makeStep(new FormData(made)))
        .catch((thrown: unknown) => {
          const hint = thrown instanceof ApiError && thrown.hint !== null ? ` – ${thrown.hint}` : ''
          problem.textContent = `${thrown instanceof Error ? thrown.message : 'failed'}${hint}`
        })
        .finally(() => {
          submit.disabled = false
        })
    })
    return made
  }

  const problemLine = () => el('p', { class: 'problem', role: 'alert' })
  const text = (values: FormData, name: string) => String(values.get(name) ?? '').trim()

  function compareForm(alert: Alert): HTMLElement {
    const made = form(
      'I have compared the picture',
      problemLine(),
      [
        el('label', { for: 'plate-seen' }, 'The plate, as you read it in the picture'),
        el('input', {
          id: 'plate-seen',
          name: 'plateSeen',
          class: 'plate-input',
          autocomplete: 'off',
          autocapitalize: 'characters',
          spellcheck: 'false',
          maxlength: '20',
          required: true,
        }),
        el(
          'label',
          { for: 'jurisdiction-seen' },
          'State or country on the plate (US-CA, RO; empty if it cannot be told)',
        ),
        el('input', {
          id: 'jurisdiction-seen',
          name: 'jurisdictionSeen',
          autocomplete: 'off',
          autocapitalize: 'characters',
          spellcheck: 'false',
          maxlength: '6',
          pattern: '[A-Za-z]{2}(-[A-Za-z0-9]{1,3})?',
          title: 'Two letters, and for a state a dash and its letters: US-CA, RO',
        }),
      ],
      (values) => ({
        step: 'image_compared',
        revision: alert.revision,
        plateSeen: text(values, 'plateSeen').toUpperCase(),
        jurisdictionSeen: text(values, 'jurisdictionSeen').toUpperCase() || null,
      }),
      alert,
    )
    // Nobody can compare a picture that they have not seen.
    const fields = el('fieldset', {}, made)
    fields.disabled = !picture.isShown(alert.alertId)
    picture.show(alert.alertId, alert.sighting.crop?.sha256 ?? '', () => {
      fields.disabled = false
    })
    return el('div', {}, el('p', { class: 'note' }, 'What the camera read is shown after this step.'), fields)
  }

  const sourceForm = (alert: Alert) =>
    form(
      'The source confirms it',
      problemLine(),
      [
        el('label', { for: 'confirmed-with' }, 'Confirmed with (person or system)'),
        el('input', {
          id: 'confirmed-with',
          name: 'confirmedWith',
          autocomplete: 'off',
          maxlength: '500',
          required: true,
        }),
        el('label', { for: 'result' }, 'What they said'),
        el('textarea', { id: 'result', name: 'result', rows: '2', maxlength: '500', required: true }),
      ],
      (values) => ({
        step: 'source_confirmed',
        revision: alert.revision,
        confirmedWith: text(values, 'confirmedWith'),
        result: text(values, 'result'),
      }),
      alert,
    )

  const actionableForm = (alert: Alert) =>
    form('Mark as actionable', problemLine(), [], () => ({ step: 'actionable', revision: alert.revision }), alert)

  function closeForm(alert: Alert): HTMLElement {
    const outcomes = CLOSING_OUTCOMES[alert.state]
    const outcome = el(
      'select',
      { id: 'outcome', name: 'outcome', required: true },
      el('option', { value: '' }, 'Choose an outcome'),
      ...outcomes.map((value) => el('option', { value }, OUTCOME_WORDS[value])),
    )
    const correctPlate = el('input', {
      id: 'correct-plate',
      name: 'correctPlate',
      autocomplete: 'off',
      autocapitalize: 'characters',
      spellcheck: 'false',
      maxlength: '20',
      pattern: '[A-Za-z0-9 .\\-]{2,20}',
      title: '2 to 12 letters and digits',
    })
    const unreadable = el('input', { id: 'unreadable', name: 'unreadable', type: 'checkbox' })
    const further = alert.sightings - 1
    const correct = el(
      'div',
      {},
      el('label', { for: 'correct-plate' }, 'What the plate in the picture says'),
      correctPlate,
      el('label', { for: 'unreadable', class: 'check' }, unreadable, ' It cannot be read'),
      further === 0
        ? null
        : el('p', { class: 'note' }, `${further} further sightings close with it; a misread raises the newest anew.`),
    )
    const suppress = el(
      'div',
      {},
      el('label', { for: 'suppress' }, 'No further alerts for this entry'),
      el(
        'select',
        { id: 'suppress', name: 'suppress' },
        ...[
          ['', 'Alert again'],
          ['1', 'for a day'],
          ['7', 'for 7 days'],
          ['30', 'for 30 days'],
        ].map(([value = '', words = '']) => el('option', { value }, words)),
      ),
    )
    const onlyWhereItFits = () => {
      correct.hidden = outcome.value !== 'misread'
      suppress.hidden = outcome.value !== 'cleared'
      correctPlate.disabled = unreadable.checked
      correctPlate.required = outcome.value === 'misread' && !unreadable.checked
    }
    outcome.addEventListener('change', onlyWhereItFits)
    unreadable.addEventListener('change', onlyWhereItFits)
    onlyWhereItFits()
    const made = form(
      'Close the alert',
      problemLine(),
      [
        el('label', { for: 'outcome' }, 'Outcome'),
        outcome,
        correct,
        suppress,
        el('label', { for: 'note' }, 'Note (no names)'),
        el('textarea', { id: 'note', name: 'note', rows: '2', maxlength: '500' }),
      ],
      (values) => ({
        step: 'closed',
        revision: alert.revision,
        outcome: text(values, 'outcome') as AlertOutcome,
        note: text(values, 'note'),
        // As it was typed where it is no plate: the server says what is wrong with it.
        correctPlate:
          text(values, 'outcome') !== 'misread' || unreadable.checked
            ? null
            : (normalisePlate(text(values, 'correctPlate')) ?? text(values, 'correctPlate')),
        suppressForMs: text(values, 'outcome') === 'cleared' ? Number(text(values, 'suppress')) * DAY_MS || null : null,
      }),
      alert,
    )
    const title = alert.state === 'actionable' ? 'Close with what came of it' : 'Or close it'
    const details = el('details', { class: 'closing' }, el('summary', {}, title), made)
    details.open = alert.state === 'actionable'
    return details
  }

  function takeBackForm(alert: Alert): HTMLElement {
    const made = form(
      'Take the last step back',
      problemLine(),
      [
        el('label', { for: 'slip' }, 'What was wrong with it (no names)'),
        el('textarea', { id: 'slip', name: 'slip', rows: '2', maxlength: '500', required: true }),
      ],
      (values) => ({ step: 'taken_back', revision: alert.revision, reason: text(values, 'slip') }),
      alert,
    )
    return el('details', { class: 'closing slip' }, el('summary', {}, 'The last step was a slip'), made)
  }

  /** What the machine and the list say, side by side. */
  function facts(alert: Alert, detail: AlertDetail | null): HTMLElement {
    const { match, sighting } = alert
    const row = (name: string, ...value: (Node | string)[]) => [el('dt', {}, name), el('dd', {}, ...value)]
    const shown = isReadShown(alert)
    return el(
      'dl',
      { class: 'facts' },
      ...(shown
        ? [
            ...row(
              'On the list',
              el('span', { class: 'plate' }, match.listedPlate),
              ` ${match.listedJurisdiction ?? ''}`,
            ),
            ...row(
              'Camera read',
              el('span', { class: 'plate' }, readText(alert)),
              ` ${sighting.jurisdiction?.code ?? ''} ${confidenceText(sighting.confidence)}`,
            ),
            ...row('Match', KIND_WORDS[match.kind]),
          ]
        : []),
      ...row('Why', categoryText(alert), ` · list ${match.list}, version ${match.listVersion}`),
      ...(shown && detail?.source?.reason ? row('Reason', detail.source.reason) : []),
      ...(shown && detail?.source?.caseNumber ? row('Case', detail.source.caseNumber) : []),
      ...row('Where', `camera ${sighting.cameraId}`),
      ...row('When', ...seenText(sighting.seenAtMs, sighting.clock === 'synced')),
    )
  }

  const DUE: Record<Alert['state'], { title: string; make: ((alert: Alert) => HTMLElement) | null }> = {
    raised: { title: '1. Compare the picture', make: compareForm },
    image_compared: { title: '2. Confirm the entry with its source', make: sourceForm },
    source_confirmed: { title: '3. Decide whether it may be acted on', make: actionableForm },
    actionable: { title: 'Actionable', make: null },
    closed: { title: 'Closed', make: null },
  }

  function warnings(alert: Alert): HTMLElement[] {
    const found: string[] = []
    if (!alert.match.stillMatches) found.push('The final read no longer matches the list. Look very carefully.')
    if (alert.historical) found.push('Seen before the plate came onto the list: the sighting is of the past.')
    if (alert.match.stale)
      found.push('The list was past its age limit: the entry may be over. Confirm it with its source.')
    const [listed, read] = [alert.match.listedJurisdiction, alert.sighting.jurisdiction?.code ?? null]
    if (isReadShown(alert) && listed !== null && read !== null && listed !== read)
      found.push(`Right number, wrong state? The list says ${listed}, the camera read ${read}.`)
    if (alert.sighting.clock === 'unsynced')
      found.push('The camera’s clock is not trusted; the time is when the cloud received it.')
    return found.map((warning) => el('p', { class: 'warning' }, warning))
  }

  return {
    show(alert, detail) {
      const steps = detail?.steps ?? []
      const key = `${alert.alertId} ${alert.revision} ${steps.length} ${alert.sightings} ${alert.heldFor.length}`
      if (key === shownKey) return
      const putBack = keepTyped(alert)
      const focused = place.contains(document.activeElement) ? document.activeElement?.id : undefined
      shownKey = key
      shownState = `${alert.alertId} ${alert.state}`
      picture.show(alert.alertId, alert.sighting.crop?.sha256 ?? '', () => {})
      const due = DUE[alert.state]
      const outcome = alert.outcome === null ? null : el('p', { class: 'outcome' }, OUTCOME_WORDS[alert.outcome])
      place.replaceChildren(
        el(
          'header',
          { class: 'detail-head' },
          button('← Alerts', 'back quiet', onBack),
          el('span', { class: `state ${alert.state}` }, STATE_WORDS[alert.state]),
          el('span', { class: 'priority' }, `P${alert.match.priority}`),
          el('span', { class: 'marks' }, ...marksOf(alert, account())),
        ),
        ...warnings(alert),
        holderLine(
          alert,
          account(),
          mayVerify() ? (step) => takeStep(alert, { step, revision: alert.revision }) : null,
        ) ?? '',
        picture.element,
        facts(alert, detail),
        trailOf(alert) ?? '',
        el(
          'section',
          { class: 'due' },
          el('h3', {}, due.title),
          outcome,
          due.make === null || !mayVerify() ? null : due.make(alert),
        ),
        alert.state === 'closed' || !mayVerify() ? '' : closeForm(alert),
        alert.state === 'raised' || !mayVerify() ? '' : takeBackForm(alert),
        el(
          'ol',
          { class: 'steps', 'aria-label': 'Steps taken' },
          ...steps.map((taken) =>
            el(
              'li',
              {},
              timeOf(taken.atMs),
              ` ${taken.account} ${STEP_WORDS[taken.step] ?? taken.step}${saysOf(alert, taken)}`,
            ),
          ),
        ),
      )
      putBack()
      if (focused !== undefined && focused !== '') document.getElementById(focused)?.focus()
    },
    clear: showEmpty,
  }
}
