/** `candor alert rules`: what is pushed, held back, escalated and grouped, by list and group; and `candor alert outcomes`. */
import type { Command } from 'commander'
import type { AlertRule } from '../../cloud/alerts/rules.ts'
import { usageError, wholeNumber } from './options.ts'

const RULES = '/api/v1/alert-rules'
const DAY_MS = 86_400_000

interface RuleOptions {
  list?: string
  group?: string
  pushUpTo?: number
  quiet?: string
  timeZone?: string
  quietPushUpTo?: number
  escalateAfter?: number
  escalateTo?: string
  escalateUpTo?: number
  groupWindow?: number
  duplicateWindow?: number
}

export function registerRules(alert: Command): void {
  const rules = alert
    .command('rules')
    .description('what is pushed, held back, escalated and grouped, by list and group; the narrowest rule that says it')
    .option('--json', 'one JSON document')
    .action(async (options: { json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table } = await import('./terminal.ts')
      const said = z.record(z.string(), z.unknown())
      const found = await withClient((client) =>
        client.call(z.object({ rules: z.array(said), defaults: said }), 'GET', RULES),
      )
      if (options.json === true) return printJson(found)
      const rows = [...found.rules, { ...found.defaults, changedBy: '(default)' }].map(
        (one: Record<string, unknown>) => {
          const { list, group, changedAtMs: _at, changedBy, ...fields } = one
          const words = Object.entries(fields).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
          return [String(list ?? 'any'), String(group ?? 'any'), words.join(', '), String(changedBy)]
        },
      )
      process.stdout.write(table(['list', 'group', 'rule', 'by'], rows))
    })

  const priority = wholeNumber(1, 5)
  rules
    .command('set')
    .description(
      'the rule for a list and group, in place of the one before; what it does not say is left to wider ones',
    )
    .option('--list <name>', 'default: any list')
    .option('--group <name>', 'default: any group')
    .option('--push-up-to <priority>', 'least urgent priority that is pushed; others are only listed', priority)
    .option('--quiet <from-until>', 'quiet hours every day, such as 22:00-06:00; none: no quiet hours')
    .option('--time-zone <name>', 'of the quiet hours, such as America/Chicago')
    .option(
      '--quiet-push-up-to <priority>',
      'least urgent priority that is pushed in quiet hours (default: 1)',
      priority,
    )
    .option(
      '--escalate-after <seconds>',
      'tell others when nobody has taken the alert by then; 0: never',
      wholeNumber(0),
    )
    .option('--escalate-to <groups>', 'comma-separated')
    .option('--escalate-up-to <priority>', 'least urgent priority that is escalated', priority)
    .option(
      '--group-window <seconds>',
      'a sighting so long after the last one joins its alert; 0: none',
      wholeNumber(0),
    )
    .option('--duplicate-window <seconds>', 'of the same camera, within which it is only counted', wholeNumber(0))
    .action(async (options: RuleOptions) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const rule = ruleOf(options)
      const { warnings } = await withClient((client) =>
        client.call(z.object({ warnings: z.array(z.string()) }), 'PUT', RULES, { json: rule }),
      )
      for (const warning of warnings) process.stderr.write(`warning: ${warning}\n`)
      process.stdout.write(`The rule for ${placeOf(options)} is set.\n`)
    })

  rules
    .command('remove')
    .description('remove the rule for a list and group')
    .option('--list <name>', 'default: the one for any list')
    .option('--group <name>', 'default: the one for any group')
    .action(async (options: Pick<RuleOptions, 'list' | 'group'>) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const query = new URLSearchParams(Object.entries(options))
      await withClient((client) => client.call(z.object({}), 'DELETE', `${RULES}?${query}`))
      process.stdout.write(`The rule for ${placeOf(options)} is removed.\n`)
    })
}

const placeOf = ({ list, group }: Pick<RuleOptions, 'list' | 'group'>) =>
  `${list === undefined ? 'any list' : `list ${list}`} and ${group === undefined ? 'any group' : `group ${group}`}`

function ruleOf(options: RuleOptions): AlertRule {
  const { quiet, timeZone, quietPushUpTo = 1, escalateAfter, escalateTo } = options
  const rule: AlertRule = { list: options.list ?? null, group: options.group ?? null }
  if (options.pushUpTo !== undefined) rule.pushUpTo = options.pushUpTo
  if (quiet === 'none') rule.quiet = null
  else if (quiet !== undefined) {
    const [from = '', until = '', ...more] = quiet.split('-')
    if (until === '' || more.length > 0) throw usageError('--quiet: hours such as 22:00-06:00 are needed.')
    if (timeZone === undefined) throw usageError('--time-zone must be given with --quiet.')
    rule.quiet = { from, until, timeZone, pushUpTo: quietPushUpTo }
  }
  if (escalateAfter !== undefined) rule.escalateAfterSeconds = escalateAfter === 0 ? null : escalateAfter
  if (escalateTo !== undefined) rule.escalateTo = escalateTo.split(',').map((group) => group.trim())
  if (options.escalateUpTo !== undefined) rule.escalateUpTo = options.escalateUpTo
  if (options.groupWindow !== undefined) rule.groupWindowSeconds = options.groupWindow
  if (options.duplicateWindow !== undefined) rule.duplicateSeconds = options.duplicateWindow
  return rule
}

export function registerOutcomes(alert: Command): void {
  alert
    .command('outcomes')
    .description('how alerts began and ended, by camera and by list, and how often they were misread')
    .option('--days <n>', 'alerts raised on the last so many days, today included', wholeNumber(1, 366), 30)
    .option('--json', 'one JSON document')
    .action(async (options: { days: number; json?: boolean }) => {
      const { z } = await import('zod')
      const { withClient } = await import('./client.ts')
      const { printJson, table } = await import('./terminal.ts')
      const figures = z.array(
        z.object({
          ...{ name: z.string(), kind: z.string(), raised: z.int(), grouped: z.int(), duplicate: z.int() },
          ...{ closed: z.int(), outcomes: z.record(z.string(), z.int()) },
          misread: z.object({ rate: z.number(), low: z.number(), high: z.number() }).nullable(),
        }),
      )
      const day = (back: number) => new Date(Date.now() - back * DAY_MS).toISOString().slice(0, 10)
      const query = new URLSearchParams({ from: day(options.days - 1), to: day(0) })
      const schema = z.object({ from: z.string(), to: z.string(), cameras: figures, lists: figures })
      const found = await withClient((client) => client.call(schema, 'GET', `/api/v1/outcomes?${query}`))
      if (options.json === true) return printJson(found)
      const percent = (share: number) => `${(share * 100).toFixed(1)}`
      for (const what of ['camera', 'list'] as const) {
        const rows = found[`${what}s`].map((one) => [
          ...[one.name, one.kind, one.raised, one.grouped, one.duplicate, one.closed].map(String),
          String(one.outcomes.misread ?? 0),
          one.misread === null
            ? ''
            : `${percent(one.misread.rate)} (${percent(one.misread.low)}-${percent(one.misread.high)})`,
        ])
        const header = [what, 'match', 'alerts', 'in trails', 'counted', 'closed', 'misread', 'misread % (95 %)']
        process.stdout.write(`${what === 'list' ? '\n' : ''}${table(header, rows)}`)
      }
    })
}
