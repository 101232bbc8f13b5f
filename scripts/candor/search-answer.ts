/** How `candor search` shows what was found. */
import type { Saved, SearchAnswer } from './search-call.ts'
import { seenTime, table } from './terminal.ts'

const MARKS = { exact: '=', near: '≈', pattern: '~', any: ' ' }

export function showAnswer(answer: SearchAnswer, { offset }: { offset: number }, exported: Saved | null): void {
  const { auditSeq, results, total, vehicles, truncated, timedOut, fromMs } = answer
  const rows = results.map(({ kind, sighting, seenAtMs, clockTrusted, placesMet }) => [
    seenTime(seenAtMs, clockTrusted),
    sighting.cameraId,
    `${MARKS[kind]} ${sighting.plate ?? ''}`,
    sighting.jurisdiction?.code ?? '',
    sighting.vehicle?.colour ?? '',
    sighting.confidence.toFixed(2),
    ...(vehicles === null ? [] : [placesMet?.map((place) => place + 1).join(' ') ?? '']),
    sighting.sightingId,
  ])
  const heads = [
    'seen',
    'camera',
    'plate',
    'of',
    'colour',
    'confidence',
    ...(vehicles === null ? [] : ['places']),
    'sighting',
  ]
  if (rows.length > 0) process.stdout.write(table(heads, rows))
  const why = timedOut
    ? ' or more: it took too long; narrow the search'
    : truncated
      ? ' or more; narrow the search'
      : ''
  const of = vehicles === null ? '' : ` of ${vehicles} vehicles`
  process.stdout.write(`${total} ${total === 1 ? 'sighting' : 'sightings'}${of}${why}. Audit entry ${auditSeq}.\n`)
  if (fromMs !== null) process.stdout.write(`Seen from ${new Date(fromMs).toISOString()} on.\n`)
  for (const name of answer.unknown ?? []) {
    process.stderr.write(`Note: there is no camera and no list named ${name} here; look at its spelling.\n`)
  }
  const next = offset + results.length
  if (results.length > 0 && next < total) {
    process.stdout.write(`Next page: candor search --of ${auditSeq} --offset ${next}\n`)
  }
  if (exported !== null) {
    const { file, rows: count, auditSeq: entry } = exported
    process.stdout.write(`${count} rows in ${file}, marked as audit entry ${entry}: criminal justice information.\n`)
  }
}
