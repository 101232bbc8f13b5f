/** The route of outcomes: how alerts began and ended, by camera and list, without a plate. */
import { z } from 'zod'
import { DAY_MS } from '../../shared/clock.ts'
import { AppError } from '../../shared/errors.ts'
import { slugSchema } from '../../shared/names.ts'
import { ALERT_OUTCOMES } from '../../shared/wire/index.ts'
import { MAX_OUTCOME_DAYS, utcDay } from '../alerts/outcomes.ts'
import type { CloudParts } from '../parts.ts'
import type { Door, TypedApi } from './door.ts'

const DEFAULT_DAYS = 30
const count = z.int().min(0)
const share = z.number().min(0).max(1)

const figuresSchema = z.object({
  name: slugSchema.describe('camera or list'),
  kind: z.enum(['exact', 'near', 'wildcard']),
  raised: count,
  grouped: count.describe('sightings that joined the trail of an open alert'),
  duplicate: count.describe('sightings that were only counted with one'),
  closed: count,
  outcomes: z.partialRecord(z.enum(ALERT_OUTCOMES), count),
  misread: z
    .object({ rate: share, low: share, high: share })
    .nullable()
    .describe('of those closed, with Wilson’s interval for 95 %; null: none is closed'),
})

export function registerOutcomes(app: TypedApi, { outcomes, clock }: CloudParts, door: Door): void {
  app.route({
    method: 'GET',
    url: '/api/v1/outcomes',
    onRequest: door.guard('outcomes.read'),
    schema: {
      summary: 'How alerts began and ended, by camera and by list',
      querystring: z.strictObject({
        from: z.iso.date().optional().describe('first UTC day on which the alerts were raised (default: 30 days)'),
        to: z.iso.date().optional().describe('last day (default: today)'),
      }),
      response: {
        200: z.object({
          from: z.iso.date(),
          to: z.iso.date(),
          cameras: z.array(figuresSchema),
          lists: z.array(figuresSchema),
        }),
      },
    },
    async handler(request) {
      const { query } = request
      const to = query.to === undefined ? utcDay(clock.nowMs()) : utcDay(Date.parse(query.to))
      const from = query.from === undefined ? to - DEFAULT_DAYS + 1 : utcDay(Date.parse(query.from))
      if (from > to || to - from >= MAX_OUTCOME_DAYS) {
        throw new AppError('bad_input', `from must not be after to, and at most ${MAX_OUTCOME_DAYS} days are asked for`)
      }
      const days = { from: dateOf(from), to: dateOf(to) }
      await door.audit(request, { operation: 'outcomes.viewed', detail: days })
      return { ...days, ...(await outcomes.figures({ from, to })) }
    },
  })
}

const dateOf = (day: number) => new Date(day * DAY_MS).toISOString().slice(0, 10)
