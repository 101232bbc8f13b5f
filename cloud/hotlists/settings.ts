/** What an agency decides for a list: who is alerted, how its entries match, and when it counts as stale. Called by hotlists.ts. */
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import type { MatchRule } from '../../shared/wire/hotlist.ts'
import type { HotlistsTable } from '../database/schema-administration.ts'

export const MAX_GROUPS_PER_LIST = 32
/** Groups alerted when nothing else is said. */
export const DEFAULT_GROUPS: readonly string[] = ['patrol']
/** Exact: a near match stops people whose plate only looks alike, so it is asked for by list or by entry. */
export const DEFAULT_RULE: MatchRule = 'exact'
/** A list older than this is stale: NCIC's extract is refreshed twice a day. */
export const DEFAULT_MAX_AGE_MS = 2 * DAY_MS
export const MAX_MAX_AGE_MS = 366 * DAY_MS
export interface ListSettings {
  groups: readonly string[]
  rule: MatchRule
  maxAgeMs: number
}

/** The list's settings (defaults for a new one) with what is wanted changed. Throws `bad_input`. */
export function resolveSettings(row: HotlistsTable | null, wanted: Partial<ListSettings>): ListSettings {
  const now: ListSettings =
    row === null ? { groups: DEFAULT_GROUPS, rule: DEFAULT_RULE, maxAgeMs: DEFAULT_MAX_AGE_MS } : toSettings(row)
  return checkSettings({
    groups: wanted.groups ?? now.groups,
    rule: wanted.rule ?? now.rule,
    maxAgeMs: wanted.maxAgeMs ?? now.maxAgeMs,
  })
}

export function toSettings(row: HotlistsTable): ListSettings {
  return {
    groups: JSON.parse(row.alert_groups) as string[],
    rule: row.default_rule === 'near' ? 'near' : 'exact',
    maxAgeMs: row.max_age_ms,
  }
}

export function settingsRow(settings: ListSettings) {
  return {
    alert_groups: JSON.stringify(settings.groups),
    default_rule: settings.rule,
    max_age_ms: settings.maxAgeMs,
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
  return { ...settings, groups, maxAgeMs: Math.round(settings.maxAgeMs) }
}
