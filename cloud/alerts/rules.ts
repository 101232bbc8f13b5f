/**
 * What an agency decides for its alerts, by list and group: what is pushed, when it is quiet, when nobody's taking an alert tells others,
 * and what counts as one passing vehicle. Of several rules the narrowest says each field: list and group, list, group, all.
 * Owns table alert_rules. Called by the other files here and the API.
 */
import { z } from 'zod'
import { type Clock, SECOND_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { timeMsSchema } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'
import { isTimeZone } from './quiet.ts'

export const MAX_ALERT_RULES = 1_000
export const MIN_ESCALATE_AFTER_SECONDS = 10
export const MAX_ESCALATE_AFTER_SECONDS = 24 * 3_600
export const MAX_ESCALATE_TO = 8
export const MAX_GROUP_WINDOW_SECONDS = 24 * 3_600
export const MAX_DUPLICATE_SECONDS = 3_600

/** Where no rule says otherwise: everything is pushed at once, nothing is escalated, and an hour makes one passing vehicle. */
export const DEFAULT_RULE = {
  pushUpTo: 5,
  quiet: null,
  escalateAfterSeconds: null,
  escalateTo: [] as readonly string[],
  escalateUpTo: 2,
  groupWindowSeconds: 3_600,
  duplicateSeconds: 60,
} as const

const priority = z.int().min(1).max(5)
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day such as 22:00')

const quietSchema = z
  .strictObject({
    from: timeOfDay,
    until: timeOfDay,
    timeZone: z.string().max(64).refine(isTimeZone, 'no time zone that is known here, such as America/Chicago'),
    pushUpTo: priority.describe('least urgent priority that is pushed in quiet hours all the same'),
  })
  .refine(({ from, until }) => from !== until, 'quiet hours must begin and end at different times')

/** What a rule may say; what it leaves out is for wider ones, and at last DEFAULT_RULE. */
export const ruleFieldsSchema = z.strictObject({
  pushUpTo: priority.optional().describe('least urgent priority that is pushed; others are listed'),
  quiet: quietSchema.nullable().optional(),
  escalateAfterSeconds: z
    .int()
    .min(MIN_ESCALATE_AFTER_SECONDS)
    .max(MAX_ESCALATE_AFTER_SECONDS)
    .nullable()
    .optional()
    .describe('an alert that nobody has taken by then is told to escalateTo'),
  escalateTo: z.array(slugSchema).max(MAX_ESCALATE_TO).optional(),
  escalateUpTo: priority.optional().describe('least urgent priority that is escalated'),
  groupWindowSeconds: z
    .int()
    .min(0)
    .max(MAX_GROUP_WINDOW_SECONDS)
    .optional()
    .describe('a sighting so long after the last one joins its open alert; 0: each raises its own'),
  duplicateSeconds: z
    .int()
    .min(0)
    .max(MAX_DUPLICATE_SECONDS)
    .optional()
    .describe('a sighting of the same camera within this time of its last one is only counted; 0: none'),
})

const placedSchema = ruleFieldsSchema.extend({
  list: slugSchema.nullable().describe('null: any list'),
  group: slugSchema.nullable().describe('null: any group'),
})
const isSameForGroups = (rule: z.infer<typeof placedSchema>) =>
  rule.group === null || (rule.groupWindowSeconds === undefined && rule.duplicateSeconds === undefined)

export const alertRuleSchema = placedSchema.refine(isSameForGroups, {
  path: ['group'],
  message: 'what counts as one passing vehicle is the same for every group: group must be null',
})
export type AlertRule = z.infer<typeof alertRuleSchema>
/** What a rule says of a field, if it says anything. */
type Said<F extends keyof AlertRule> = Exclude<AlertRule[F], undefined>

export const storedRuleSchema = placedSchema.extend({ changedAtMs: timeMsSchema, changedBy: slugSchema })
export type StoredRule = z.infer<typeof storedRuleSchema>

export interface AlertRules {
  /** Lists in order; any list and any group first. */
  list(): StoredRule[]
  /** Takes the place of the rule for the same list and group. Throws `too_large`, and `bad_input` for an escalation to nobody. */
  set(rule: AlertRule, by: string): Promise<void>
  /** Throws `not_found`. */
  remove(list: string | null, group: string | null): Promise<void>
  grouping(list: string): { windowMs: number; duplicateMs: number }
  pushing(list: string, group: string): { pushUpTo: Said<'pushUpTo'>; quiet: Said<'quiet'> }
  /** Of an alert to these groups: the earliest time of any of them, and all whom they name; null: none of them escalates it. */
  escalation(list: string, groups: readonly string[], priority: number): { afterMs: number; to: string[] } | null
}

const keyOf = (list: string | null, group: string | null) => `${list ?? ''} ${group ?? ''}`

export async function createAlertRules(deps: { database: Database; clock: Clock }): Promise<AlertRules> {
  const { database, clock } = deps
  const { build } = database
  const rules = new Map<string, StoredRule>()
  for (const row of await database.read(build.selectFrom('alert_rules').selectAll())) {
    const rule = alertRuleSchema.parse(JSON.parse(row.document))
    rules.set(keyOf(rule.list, rule.group), { ...rule, changedAtMs: row.changed_at_ms, changedBy: row.changed_by })
  }

  type Field = keyof typeof DEFAULT_RULE
  function resolve<F extends Field>(
    from: ReadonlyMap<string, AlertRule>,
    list: string | null,
    group: string | null,
    field: F,
  ) {
    for (const key of [keyOf(list, group), keyOf(list, null), keyOf(null, group), keyOf(null, null)]) {
      const value = from.get(key)?.[field]
      if (value !== undefined) return value as Said<F>
    }
    return DEFAULT_RULE[field] as Said<F>
  }
  const say = <F extends Field>(list: string, group: string | null, field: F) => resolve(rules, list, group, field)

  /** What was held back by the rule of before is looked at again. */
  const reconsiderHeld = () =>
    build.updateTable('alert_groups').set({ held_until_ms: clock.nowMs() }).where('held_until_ms', 'is not', null)

  return {
    list: () => [...rules].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rule]) => rule),
    async set(rule, by) {
      const { list, group } = rule
      const key = keyOf(list, group)
      if (rules.size >= MAX_ALERT_RULES && !rules.has(key)) {
        throw new AppError('too_large', `there are ${MAX_ALERT_RULES} rules, the most there may be`)
      }
      const after = new Map<string, AlertRule>(rules).set(key, rule)
      if (rule.escalateAfterSeconds != null && resolve(after, list, group, 'escalateTo').length === 0) {
        throw new AppError('bad_input', 'escalateTo: no group is named that an alert would be escalated to')
      }
      const changing = { document: JSON.stringify(rule), changed_at_ms: clock.nowMs(), changed_by: by }
      await database.writeBatch([
        build
          .insertInto('alert_rules')
          .values({ list: list ?? '', group_name: group ?? '', ...changing })
          .onConflict((conflict) => conflict.columns(['list', 'group_name']).doUpdateSet(changing)),
        reconsiderHeld(),
      ])
      rules.set(key, { ...rule, changedAtMs: changing.changed_at_ms, changedBy: by })
    },
    async remove(list, group) {
      if (!rules.has(keyOf(list, group))) throw new AppError('not_found', 'there is no such rule')
      await database.writeBatch([
        build
          .deleteFrom('alert_rules')
          .where('list', '=', list ?? '')
          .where('group_name', '=', group ?? ''),
        reconsiderHeld(),
      ])
      rules.delete(keyOf(list, group))
    },
    grouping: (list) => ({
      windowMs: say(list, null, 'groupWindowSeconds') * SECOND_MS,
      duplicateMs: say(list, null, 'duplicateSeconds') * SECOND_MS,
    }),
    pushing: (list, group) => ({ pushUpTo: say(list, group, 'pushUpTo'), quiet: say(list, group, 'quiet') }),
    escalation(list, groups, priority) {
      const due = groups.flatMap((group) => {
        const after = say(list, group, 'escalateAfterSeconds')
        if (after === null || priority > say(list, group, 'escalateUpTo')) return []
        return [{ after, to: say(list, group, 'escalateTo') }]
      })
      const to = [...new Set(due.flatMap((one) => [...one.to]))]
      return to.length === 0 ? null : { afterMs: Math.min(...due.map(({ after }) => after)) * SECOND_MS, to }
    },
  }
}
