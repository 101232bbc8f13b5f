/** What the page calls things. */
import type { Alert, AlertOutcome, AlertState } from '../../../shared/wire/alert.ts'

export const STATE_WORDS: Readonly<Record<AlertState, string>> = {
  raised: 'New, to be compared',
  image_compared: 'Picture compared',
  source_confirmed: 'Source confirmed',
  actionable: 'Actionable',
  closed: 'Closed',
}

export const OUTCOME_WORDS: Readonly<Record<AlertOutcome, string>> = {
  misread: 'Misread: the plate says something else',
  cleared: 'Cleared: the entry no longer stands',
  stale: 'Stale: too old to act on',
  wrong_jurisdiction: 'Wrong jurisdiction: same text, other state or country',
  located: 'Located',
  not_located: 'Not located',
}

export const STEP_WORDS: Readonly<Record<string, string>> = {
  image_compared: 'compared the picture',
  source_confirmed: 'confirmed the source',
  actionable: 'marked it actionable',
  closed: 'closed it',
  taken_back: 'took the last step back',
  acknowledged: 'took the alert',
  released: 'let the alert go',
}

/** Before a person has compared the picture, the page shows neither the read nor the listed plate. */
export function isReadShown(alert: Alert): boolean {
  return alert.state !== 'raised'
}

export const MARKS = { exact: '', near: '≈ ', wildcard: '~ ' } as const
export const KIND_WORDS = {
  exact: 'exact',
  near: '≈ near: one character may be confused',
  wildcard: '~ pattern: the list names more than one plate',
} as const

/** `≈` stands before a plate that only looks like the listed one, `~` before one that a pattern of the list means. */
export function readText({ match, sighting }: Alert): string {
  return `${MARKS[match.kind]}${sighting.plate}`
}

export function categoryText(alert: Alert): string {
  return alert.match.category === '' ? `list ${alert.match.list}` : alert.match.category
}

export function confidenceText(confidence: number): string {
  return `${Math.round(confidence * 100)} %`
}
