/**
 * What an alert is beside its steps: who has it, whom it was told to or not, and where its entry was seen again. Nothing of that was
 * compared by anybody, and it says so.
 */
import type { Alert } from '../../../shared/wire/alert.ts'
import { button, el, seenText, timeOf } from './dom.ts'
import { confidenceText, isReadShown, MARKS } from './words.ts'

/** Short marks, for the card and the head of the alert. */
export function marksOf(alert: Alert, account: string): HTMLElement[] {
  const marks: HTMLElement[] = []
  const isOpen = alert.state !== 'closed'
  if (alert.escalatedAtMs !== null && isOpen) marks.push(el('span', { class: 'mark escalated' }, 'Escalated'))
  if (alert.acknowledgedBy !== null && isOpen) {
    const isOwn = alert.acknowledgedBy === account
    marks.push(el('span', { class: isOwn ? 'mark own' : 'mark' }, isOwn ? 'Yours' : `Taken by ${alert.acknowledgedBy}`))
  }
  if (alert.historical) marks.push(el('span', { class: 'mark' }, 'Of the past'))
  if (alert.match.stale) marks.push(el('span', { class: 'mark' }, 'Old list'))
  if (alert.sightings > 1) marks.push(el('span', { class: 'mark' }, `Seen ${alert.sightings} times`))
  for (const { group, untilMs } of isOpen ? alert.heldFor : []) {
    const why = untilMs === null ? ['not urgent enough'] : ['quiet until ', timeOf(untilMs, 'minute')]
    marks.push(el('span', { class: 'mark held' }, `Not pushed to ${group}: `, ...why))
  }
  return marks
}

/** Who works on it, and the buttons to take it, take it over or let it go. */
export function holderLine(
  alert: Alert,
  account: string,
  take: ((step: 'acknowledged' | 'released') => Promise<void>) | null,
): HTMLElement | null {
  const { acknowledgedBy, acknowledgedAtMs } = alert
  if (alert.state === 'closed') return null
  const problem = el('p', { class: 'problem', role: 'alert' })
  const act = (label: string, step: 'acknowledged' | 'released') =>
    take === null
      ? null
      : button(label, 'quiet', () =>
          take(step).catch((thrown: unknown) => {
            problem.textContent = thrown instanceof Error ? thrown.message : 'failed'
          }),
        )
  const words =
    acknowledgedBy === null
      ? ['Nobody has taken this alert.']
      : [
          acknowledgedBy === account ? 'You have' : `${acknowledgedBy} has`,
          ' this alert since ',
          timeOf(acknowledgedAtMs ?? 0),
        ]
  return el(
    'div',
    { class: 'holder' },
    el('span', {}, ...words),
    acknowledgedBy === account
      ? act('Let it go', 'released')
      : act(acknowledgedBy === null ? 'Take it' : 'Take it over', 'acknowledged'),
    problem,
  )
}

/** Further sightings, newest first; each is gone when its own retention is over, which may be before the alert's. */
export function trailOf(alert: Alert): HTMLElement | null {
  const { sighting, trail } = alert
  const keptMs = alert.expiresAtMs - Math.min(sighting.seenAtMs, sighting.receivedAtMs)
  const shown = trail.filter((one) => Math.min(one.seenAtMs, one.receivedAtMs) + keptMs > Date.now())
  if (alert.sightings <= 1) return null
  const rows = shown
    .toReversed()
    .map((one) =>
      el(
        'li',
        one.stillMatches ? {} : { class: 'gone' },
        el('span', { class: 'when' }, ...seenText(one.seenAtMs, one.clock === 'synced')),
        el('span', {}, `camera ${one.cameraId}`),
        isReadShown(alert)
          ? el('span', {}, el('span', { class: 'plate' }, `${MARKS[one.kind]}${one.plate}`))
          : el('span', { class: 'soft' }, 'read shown after step 1'),
        el(
          'span',
          { class: 'soft' },
          one.stillMatches ? (isReadShown(alert) ? confidenceText(one.confidence) : '') : 'no longer matches',
        ),
      ),
    )
  const counted = alert.sightings - 1 - shown.length
  return el(
    'section',
    { class: 'trail' },
    el('h3', {}, 'Seen again ', el('span', { class: 'mark uncompared' }, 'not compared')),
    el(
      'p',
      { class: 'note' },
      'Only the picture above is compared. These are reads of the same entry, and may be of another vehicle.',
    ),
    el('ol', {}, ...rows),
    counted > 0 ? el('p', { class: 'note' }, `and ${counted} more, only counted`) : null,
  )
}
