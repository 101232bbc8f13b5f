/** The list of alerts: urgent and open first. Shows no plate before its picture was compared. */
import type { Alert } from '../../../shared/wire/alert.ts'
import { el, seenText } from './dom.ts'
import { marksOf } from './flow-view.ts'
import { categoryText, isReadShown, readText, STATE_WORDS } from './words.ts'

/** Alerts kept on the page; the rest is a search away. */
export const MAX_ALERTS_SHOWN = 200

const isOpen = (alert: Alert) => alert.state !== 'closed'

const isOverdue = (alert: Alert) => alert.escalatedAtMs !== null && alert.acknowledgedBy === null

/** Open before closed, what was escalated and nobody has taken first; then by priority, what is free, and the newest. */
export function inOrder(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort(
    (a, b) =>
      Number(isOpen(b)) - Number(isOpen(a)) ||
      Number(isOverdue(b)) - Number(isOverdue(a)) ||
      a.match.priority - b.match.priority ||
      Number(a.acknowledgedBy !== null) - Number(b.acknowledgedBy !== null) ||
      b.raisedAtMs - a.raisedAtMs,
  )
}

export function showAlerts(
  list: HTMLElement,
  alerts: Iterable<Alert>,
  selected: string | null,
  account: string,
  onSelect: (alertId: string) => void,
): void {
  const before = new Set([...list.querySelectorAll<HTMLElement>('.card')].map((card) => card.dataset.alert))
  const focused = document.activeElement?.getAttribute('data-alert') ?? null
  const cards = inOrder(alerts)
    .slice(0, MAX_ALERTS_SHOWN)
    .map((alert) => {
      const card = el(
        'button',
        {
          type: 'button',
          class: `card ${alert.state}${isOpen(alert) && alert.match.priority <= 2 ? ' urgent' : ''}${before.has(alert.alertId) ? '' : ' arrives'}`,
          'aria-current': alert.alertId === selected ? 'true' : 'false',
        },
        el('span', { class: 'card-title' }, isReadShown(alert) ? readText(alert) : 'Compare the picture'),
        el('span', { class: 'priority', title: 'Priority, 1 is the most urgent' }, `P${alert.match.priority}`),
        el('span', { class: 'card-what' }, `${categoryText(alert)} · camera ${alert.sighting.cameraId}`),
        el('span', { class: 'card-when' }, ...seenText(alert.sighting.seenAtMs, alert.sighting.clock === 'synced')),
        el('span', { class: `state ${alert.state}` }, STATE_WORDS[alert.state]),
        el('span', { class: 'marks' }, ...marksOf(alert, account)),
      )
      card.dataset.alert = alert.alertId
      card.addEventListener('click', () => onSelect(alert.alertId))
      return el('li', {}, card)
    })
  list.replaceChildren(...(cards.length === 0 ? [el('li', { class: 'empty' }, 'No alerts.')] : cards))
  if (focused !== null) list.querySelector<HTMLElement>(`[data-alert="${CSS.escape(focused)}"]`)?.focus()
}
