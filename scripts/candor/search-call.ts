/** What `candor search` asks of the cloud, and the progress of what takes long. */
import { writeFileSync } from 'node:fs'
import { z } from 'zod'
import { SECOND_MS, systemClock } from '../../shared/clock.ts'
import { AppError, systemCode } from '../../shared/errors.ts'
import { sightingSchema } from '../../shared/wire/index.ts'
import { withClient } from './client.ts'
import { createProgress } from './progress.ts'

export const answerSchema = z.object({
  auditSeq: z.int(),
  total: z.int(),
  vehicles: z.int().nullable(),
  truncated: z.boolean(),
  timedOut: z.boolean(),
  fromMs: z.int().nullable(),
  unknown: z.array(z.string()).optional(),
  results: z.array(
    z.object({
      kind: z.enum(['exact', 'near', 'pattern', 'any']),
      sighting: sightingSchema,
      receivedAtMs: z.int(),
      seenAtMs: z.int(),
      clockTrusted: z.boolean(),
      placesMet: z.array(z.int()).nullable(),
      voucher: z.string(),
      pictureVoucher: z.string().nullable(),
    }),
  ),
})
export type SearchAnswer = z.infer<typeof answerSchema>

const exportSchema = z.object({ auditSeq: z.int(), rows: z.int(), text: z.string() })
export interface Saved {
  auditSeq: number
  rows: number
  file: string
}

export interface SearchCalls {
  run(query: Record<string, unknown>): Promise<SearchAnswer>
  page(auditSeq: number, page: { limit: number; offset: number }): Promise<SearchAnswer>
  /** `named`: SIGHTING,CAMERA,VOUCHER. */
  open(auditSeq: number, named: string): Promise<unknown>
  /** Writes the export to `file`, which must not be there, for its owner alone. */
  save(auditSeq: number, format: string, file: string): Promise<Saved>
}

export function searchWith<T>(work: (calls: SearchCalls) => Promise<T>): Promise<T> {
  return withClient((client) => {
    const of = (auditSeq: number) => `/api/v1/search/${auditSeq}`
    return work({
      run: (json) => shown(client.call(answerSchema, 'POST', '/api/v1/search', { json })),
      page: (auditSeq, json) => shown(client.call(answerSchema, 'POST', `${of(auditSeq)}/page`, { json })),
      open(auditSeq, named) {
        const [sighting = '', camera = '', voucher = ''] = named.split(',')
        const query = new URLSearchParams({ search: String(auditSeq), camera, voucher })
        return client.call(z.unknown(), 'GET', `/api/v1/sightings/${encodeURIComponent(sighting)}?${query}`)
      },
      async save(auditSeq, format, file) {
        const answer = await shown(client.call(exportSchema, 'POST', `${of(auditSeq)}/export`, { json: { format } }))
        try {
          writeFileSync(file, answer.text, { mode: 0o600, flag: 'wx' })
        } catch (cause) {
          throw new AppError('conflict', `${file} cannot be written: ${systemCode(cause) ?? ''}`, {
            hint: 'name a file that is not there yet; the export stands in the audit already',
            cause,
          })
        }
        return { auditSeq: answer.auditSeq, rows: answer.rows, file }
      },
    })
  })
}

/** Says on stderr that it is still searching, where that lasts. */
async function shown<T>(answer: Promise<T>): Promise<T> {
  const progress = createProgress(process.stderr, systemClock)
  const startMs = systemClock.monotonicMs()
  const timer = setInterval(() => {
    progress.show('searching', 0, 0, `${Math.round((systemClock.monotonicMs() - startMs) / SECOND_MS)} s`)
  }, SECOND_MS)
  try {
    return await answer
  } finally {
    clearInterval(timer)
    progress.stop()
  }
}
