/**
 * What an agency decides for a list: where it comes from, who is alerted, how urgent and how wide its entries are, from when to when it
 * matches, and when it counts as stale. Called by hotlists.ts.
 */
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import type { ListRule } from '../../shared/wire/hotlist.ts'
import type { HotlistsTable } from '../database/schema-administration.ts'

export const MAX_GROUPS_PER_LIST = 32
/** Groups alerted when nothing else is said. */
export const DEFAULT_GROUPS: readonly string[] = ['patrol']
/** Exact: a near match stops people whose plate only looks alike, so it is asked for by list or by entry. */
export const DEFAULT_RULE: ListRule = 'exact'
/** Where lists come from: the national file, a state's, an abduction alert, the agency itself, or another agency by agreement. */
export const LIST_SOURCES = ['ncic', 'state', 'amber', 'local', 'partner'] as const
export type ListSource = (typeof LIST_SOURCES)[number]
/** Of rows that do not say: 1 is the most urgent. */
export const DEFAULT_PRIORITY = 3
/** A list older than this is stale: NCIC's extract is refreshed twice a day. */
export const DEFAULT_MAX_AGE_MS = 2 * DAY_MS
export const MAX_MAX_AGE_MS = 366 * DAY_MS

export interface ListSettings {
  source: ListSource
  groups: readonly string[]
  /** Of rows that do not say. */
  rule: ListRule
  priority: number
  maxAgeMs: number
  /** The list as a whole matches from then on and before that; null: always. Cameras know it from the next version on. */
  effectiveAtMs: number | null
  expiresAtMs: number | null
}

const DEFAULTS: ListSettings = {
  source: 'local',
  groups: DEFAULT_GROUPS,
  rule: DEFAULT_RULE,
  priority: DEFAULT_PRIORITY,
  maxAgeMs: DEFAULT_MAX_AGE_MS,
  effectiveAtMs: null,
  expiresAtMs: null,
}

/** The list's settings (defaults for a new one) with what is wanted changed. Throws `bad_input`. */
export function resolveSettings(row: HotlistsTable | null, wanted: Partial<ListSettings>): ListSettings {
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined))
  return checkSettings({ ...(row === null ? DEFAULTS : toSettings(row)), ...given })
}

export function toSettings(row: HotlistsTable): ListSettings {
  return {
    source: row.source as ListSource,
    groups: JSON.parse(row.alert_groups) as string[],
    rule: row.default_rule as ListRule,
    priority: row.default_priority,
    maxAgeMs: row.max_age_ms,
    effectiveAtMs: row.effective_at_ms,
    expiresAtMs: row.expires_at_ms,
  }
}

export function settingsRow(settings: ListSettings) {
  return {
    source: settings.source,
    alert_groups: JSON.stringify(settings.groups),
    default_rule: settings.rule,
    default_priority: settings.priority,
    max_age_ms: settings.maxAgeMs,
    effective_at_ms: settings.effectiveAtMs,
    expires_at_ms: settings.expiresAtMs,
  }
}

function checkSettings(settings: ListSettings): ListSettings {
  const groups = [...new Set(settings.groups)].sort()
  if (groups.length === 0 || groups.length > MAX_GROUPS_PER_LIST) {
    throw new AppError('bad_input', `a list alerts 1 to ${MAX_GROUPS_PER_LIST} groups`)
  }
  for (const group of groups) {
    if (!slugSchema.safeParse(group).success) throw new AppError('bad_input', 'a group must be 1-32 of a-z, 0-9 and -')
  }
  if (!(settings.maxAgeMs > 0 && settings.maxAgeMs <= MAX_MAX_AGE_MS)) {
    throw new AppError('bad_input', 'the maximum age must be more than 0 and at most 366 days')
  }
  if (!(Number.isInteger(settings.priority) && settings.priority >= 1 && settings.priority <= 5)) {
    throw new AppError('bad_input', 'the priority of a list must be 1 (most urgent) to 5')
  }
  const { effectiveAtMs, expiresAtMs } = settings
  if (effectiveAtMs !== null && expiresAtMs !== null && expiresAtMs <= effectiveAtMs) {
    throw new AppError('bad_input', 'the list expires before it is effective')
  }
  return { ...settings, groups, maxAgeMs: Math.round(settings.maxAgeMs) }
}
