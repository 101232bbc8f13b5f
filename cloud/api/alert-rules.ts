/** Routes of alert rules: what is pushed, held back, escalated and grouped, by list and group. */
import { z } from 'zod'
import { toAppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { type AlertRule, alertRuleSchema, DEFAULT_RULE, ruleFieldsSchema, storedRuleSchema } from '../alerts/rules.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'
import { groupWarnings } from './group-warnings.ts'

const URL = '/api/v1/alert-rules'

export function registerAlertRules(app: TypedApi, parts: CloudParts, door: Door): void {
  const { alertRules, alerts, accounts, log } = parts
  const subject = ({ list, group }: Pick<AlertRule, 'list' | 'group'>) => ({
    kind: 'alert_rule',
    id: `${list ?? '*'}/${group ?? '*'}`,
  })

  /** What was held back by the rule of before may be due now. */
  function releaseHeld(): void {
    alerts.publishPending().catch((thrown: unknown) => {
      log.error('alerts_not_published', { error: toAppError(thrown).message })
    })
  }

  app.route({
    method: 'GET',
    url: URL,
    onRequest: door.guard('hotlists.read'),
    schema: {
      summary: 'Rules of alerts by list and group; the narrowest that says a field counts',
      response: {
        200: z.object({
          rules: z.array(storedRuleSchema),
          defaults: ruleFieldsSchema,
        }),
      },
    },
    async handler(request) {
      await door.audit(request, { operation: 'alert_rule.listed' })
      return { rules: alertRules.list(), defaults: { ...DEFAULT_RULE, escalateTo: [...DEFAULT_RULE.escalateTo] } }
    },
  })

  app.route({
    method: 'PUT',
    url: URL,
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Sets the rule for a list and group, in place of the one before',
      body: alertRuleSchema,
      response: { 200: z.object({ warnings: z.array(z.string()) }) },
    },
    async handler(request) {
      const { account } = door.session(request)
      const rule = request.body
      const detail = { rule: JSON.stringify(rule) }
      await door.audited(request, { operation: 'alert_rule.set', subject: subject(rule), detail }, () =>
        alertRules.set(rule, account),
      )
      releaseHeld()
      return { warnings: await groupWarnings(accounts, rule.escalateTo ?? []) }
    },
  })

  app.route({
    method: 'DELETE',
    url: URL,
    onRequest: door.guard('hotlists.write'),
    schema: {
      summary: 'Removes the rule for a list and group',
      querystring: z.strictObject({ list: slugSchema.optional(), group: slugSchema.optional() }),
      response: { 200: z.object({ list: slugSchema.nullable(), group: slugSchema.nullable() }) },
    },
    async handler(request) {
      const { list = null, group = null } = request.query
      await door.audited(request, { operation: 'alert_rule.removed', subject: subject({ list, group }) }, () =>
        alertRules.remove(list, group),
      )
      releaseHeld()
      return { list, group }
    },
  })
}
