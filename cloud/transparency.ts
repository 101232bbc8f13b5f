/**
 * What is published of how the system is used: a report of some days, made from the policy and the daily counts, signed together with
 * the place of the audit, and never changed. Called by the API, and by upkeep where the policy says how often. Owns table
 * transparency_reports.
 */
import { type Clock, DAY_MS } from '../shared/clock.ts'
import { AppError, toAppError } from '../shared/errors.ts'
import type { Log } from '../shared/log.ts'
import { type Signer, sha256Hex } from '../shared/signing.ts'
import type { Policy } from '../shared/wire/policy.ts'
import type { Outcomes } from './alerts/outcomes.ts'
import { type AuditRecord, CLOUD_ACTOR, canonicalBytes } from './audit/entry.ts'
import type { Audit } from './audit/log.ts'
import { parseCheckpoint, parseNote } from './audit/note.ts'
import type { Database } from './database/database.ts'
import type { Hotlists } from './hotlists.ts'
import type { PolicyKeeper } from './policy.ts'
import type { Review } from './review.ts'
import { toCsv } from './transparency/csv.ts'
import {
  dateOf,
  FILES,
  MANIFEST_KIND,
  type Manifest,
  type PlaceOfAudit,
  REPORT_KIND,
  type Report,
} from './transparency/document.ts'
import {
  alertSection,
  type CameraTimes,
  type Counted,
  deletionSection,
  oversightSection,
  searchSection,
  trafficSection,
  upTimeSection,
} from './transparency/figures.ts'
import { toHtml } from './transparency/html.ts'
import {
  askingSection,
  listsSection,
  methodSection,
  recordedSection,
  retentionSection,
  sharingSection,
  usesSection,
} from './transparency/texts.ts'
import { utcDay } from './usage/figures.ts'
import { type Days, MAX_USAGE_DAYS, type Usage } from './usage.ts'

/** Reports of one list. */
export const MAX_REPORT_PAGE = 200
/** Versions of the policy that are looked at. */
const MAX_POLICIES = 1_000

export interface PublishedReport {
  reportId: number
  from: string
  to: string
  madeAtMs: number
  /** null: the cloud, by its policy. */
  madeBy: string | null
}

export type ReportFile = keyof typeof FILES

export interface Transparency {
  /** A draft of these days, up to today. Throws `bad_input` for days that cannot be. */
  draft(days: Days): Promise<Record<Exclude<ReportFile, 'manifest'>, string>>
  /**
   * Throws `bad_input` for days that are not over, `conflict` for days of which some are published already in another period: small counts
   * could be told from the difference.
   */
  publish(days: Days, by: string | null): Promise<PublishedReport & { manifestSha256: string }>
  /** Newest first. */
  list(): Promise<PublishedReport[]>
  /** Exactly as it was published; null: there is no such report. */
  file(reportId: number, file: ReportFile): Promise<string | null>
  /** Publishes what is due by the policy. Never rejects. */
  upkeep(): Promise<void>
}

export interface TransparencyDeps {
  database: Database
  agency: string
  usage: Usage
  review: Pick<Review, 'decided' | 'status'>
  policy: Pick<PolicyKeeper, 'current' | 'history' | 'version'>
  outcomes: Outcomes
  hotlists: Pick<Hotlists, 'status'>
  audit: Pick<Audit, 'append' | 'checkpoint'>
  /** The audit's key; what it signs says what kind of document it is. */
  signer: Signer
  /** Other organisations with a grant in force. */
  organisations: () => Promise<readonly string[]>
  clock: Clock
  log: Log
}

export function createTransparency(deps: TransparencyDeps): Transparency {
  const { database, agency, usage, review, outcomes, clock } = deps
  const { build } = database

  /** Of each camera that was registered within the days: for how long, and for how long of it online. */
  async function cameraTimes(days: Days, onlineMs: ReadonlyMap<string, number>): Promise<CameraTimes> {
    const fromMs = days.from * DAY_MS
    const toMs = Math.min((days.to + 1) * DAY_MS, clock.nowMs())
    const rows = await database.read(build.selectFrom('cameras').select(['camera_id', 'added_at_ms', 'revoked_at_ms']))
    const times = rows.map((row) => {
      const registeredMs = Math.max(0, Math.min(toMs, row.revoked_at_ms ?? toMs) - Math.max(fromMs, row.added_at_ms))
      return { onlineMs: Math.min(onlineMs.get(row.camera_id) ?? 0, registeredMs), registeredMs }
    })
    const registered = rows.filter(
      (row) => row.added_at_ms < toMs && (row.revoked_at_ms === null || row.revoked_at_ms >= toMs),
    ).length
    return { registered, times: times.filter(({ registeredMs }) => registeredMs > 0) }
  }

  async function count(days: Days, policy: Policy): Promise<Counted> {
    await usage.follow()
    const { onlineMs, ...said } = await usage.cameraFigures(days)
    const { open, overdue } = await review.status()
    const purposes = policy.uses.purposes.map(({ code, label }) => [code, label] as const)
    return {
      ...{ days, bound: policy.publication.smallCount, said, labels: { purposes: new Map(purposes) } },
      usage: await usage.figures(days),
      cameras: await cameraTimes(days, onlineMs),
      lists: (await outcomes.figures(days)).lists,
      review: { decided: await review.decided(days.from * DAY_MS, (days.to + 1) * DAY_MS), open, overdue },
      policies: (await deps.policy.history(MAX_POLICIES)).map(({ policy: one }) => one),
    }
  }

  /** Where the audit stands now, in words that its checkpoint proves. */
  async function placeOfAudit(): Promise<PlaceOfAudit> {
    const checkpoint = await deps.audit.checkpoint()
    const { size, root } = parseCheckpoint(parseNote(checkpoint).text)
    return { entries: size, root: root.toString('base64'), checkpoint }
  }

  async function make(days: Days, reportId: number | null, corrects: number[]): Promise<Report> {
    const policy = deps.policy.current()
    const counted = await count(days, policy)
    return {
      ...{ kind: REPORT_KIND, agency, reportId, period: periodOf(days), corrects },
      generatedAt: new Date(clock.nowMs()).toISOString(),
      policyVersion: policy.version,
      smallCount: counted.bound,
      audit: await placeOfAudit(),
      sections: [
        trafficSection(counted),
        searchSection(counted),
        alertSection(counted),
        upTimeSection(counted),
        deletionSection(counted),
        oversightSection(counted),
        recordedSection(policy),
        usesSection(policy),
        listsSection(await deps.hotlists.status()),
        retentionSection(policy),
        sharingSection(policy, await deps.organisations()),
        askingSection(policy),
        methodSection(counted.bound),
      ],
    }
  }

  const filesOf = (report: Report) => ({
    json: `${JSON.stringify(report, null, 2)}\n`,
    csv: toCsv(report),
    html: toHtml(report),
  })

  function check({ from, to }: Days, last: number): void {
    if (from <= to && to <= last && to - from < MAX_USAGE_DAYS) return
    throw new AppError('bad_input', 'these days cannot be reported', {
      hint: `the last must not be before the first nor after ${dateOf(last)}, and at most ${MAX_USAGE_DAYS} days are reported at once`,
    })
  }

  /** Reports of exactly these days. Throws `conflict` where another one has some of them. */
  async function corrected({ from, to }: Days): Promise<number[]> {
    const rows = await database.read(
      build
        .selectFrom('transparency_reports')
        .select(['report_id', 'from_day', 'to_day'])
        .where('to_day', '>=', from)
        .where('from_day', '<=', to),
    )
    const other = rows.find((row) => row.from_day !== from || row.to_day !== to)
    if (other !== undefined) {
      throw new AppError('conflict', `report ${other.report_id} has some of these days already`, {
        hint: `from one period and another that overlaps it small counts could be told; it has ${dateOf(other.from_day)} to ${dateOf(other.to_day)}`,
      })
    }
    return rows.map((row) => row.report_id).sort((a, b) => a - b)
  }

  let publishing: Promise<unknown> = Promise.resolve()
  /** One after the other: each takes the next number. */
  function publish(days: Days, by: string | null) {
    const turn = publishing.then(
      () => publishNow(days, by),
      () => publishNow(days, by),
    )
    publishing = turn.catch(() => {})
    return turn
  }

  async function publishNow(days: Days, by: string | null): Promise<PublishedReport & { manifestSha256: string }> {
    check(days, utcDay(clock.nowMs()) - 1)
    const corrects = await corrected(days)
    const [newest] = await database.read(
      build.selectFrom('transparency_reports').select('report_id').orderBy('report_id', 'desc').limit(1),
    )
    const reportId = (newest?.report_id ?? 0) + 1
    const report = await make(days, reportId, corrects)
    const files = filesOf(report)
    const manifest: Manifest = {
      ...{ kind: MANIFEST_KIND, agency, reportId, period: report.period },
      files: {
        [FILES.json]: sha256Hex(files.json),
        [FILES.csv]: sha256Hex(files.csv),
        [FILES.html]: sha256Hex(files.html),
      },
      audit: report.audit,
    }
    const envelope = `${JSON.stringify(deps.signer.seal(canonicalBytes(manifest)))}\n`
    const madeAtMs = clock.nowMs()
    const manifestSha256 = sha256Hex(envelope)
    const entry: AuditRecord = {
      ...{ operation: 'transparency.published', outcome: 'allowed', actor: CLOUD_ACTOR },
      subject: { kind: 'report', id: String(reportId) },
      detail: { from: dateOf(days.from), to: dateOf(days.to), manifestSha256, by },
    }
    // First the audit: no report is public whose digest is not in it.
    const { seq } = await deps.audit.append(entry)
    try {
      await database.writeBatch([
        build.insertInto('transparency_reports').values({
          ...{ report_id: reportId, from_day: days.from, to_day: days.to, made_at_ms: madeAtMs, made_by: by },
          ...{ manifest: envelope, ...files },
        }),
      ])
    } catch (thrown) {
      await deps.audit.append({ ...entry, outcome: 'refused', rule: toAppError(thrown).code, completes: seq })
      throw thrown
    }
    return { reportId, from: dateOf(days.from), to: dateOf(days.to), madeAtMs, madeBy: by, manifestSha256 }
  }

  /**
   * The next days of the schedule, if they are over: behind those of the last report, or else the last ones that are over, from the
   * first policy on. Days before it say nothing, and would keep a later report from every period that overlaps them.
   */
  async function due(everyDays: number): Promise<Days | null> {
    const today = utcDay(clock.nowMs())
    const [last] = await database.read(
      build.selectFrom('transparency_reports').select('to_day').orderBy('to_day', 'desc').limit(1),
    )
    const firstDay = async () => utcDay((await deps.policy.version(1)).policy.issuedAtMs)
    const from = last === undefined ? Math.max(today - everyDays, await firstDay()) : last.to_day + 1
    return from + everyDays <= today ? { from, to: from + everyDays - 1 } : null
  }

  return {
    publish,
    async draft(days) {
      check(days, utcDay(clock.nowMs()))
      return filesOf(await make(days, null, []))
    },
    async list() {
      const rows = await database.read(
        build
          .selectFrom('transparency_reports')
          .select(['report_id', 'from_day', 'to_day', 'made_at_ms', 'made_by'])
          .orderBy('report_id', 'desc')
          .limit(MAX_REPORT_PAGE),
      )
      return rows.map((row) => ({
        ...{ reportId: row.report_id, from: dateOf(row.from_day), to: dateOf(row.to_day) },
        ...{ madeAtMs: row.made_at_ms, madeBy: row.made_by },
      }))
    },
    async file(reportId, file) {
      const [row] = await database.read(
        build.selectFrom('transparency_reports').select(file).where('report_id', '=', reportId),
      )
      return row?.[file] ?? null
    },
    async upkeep() {
      try {
        const { everyDays } = deps.policy.current().publication
        const days = everyDays === null ? null : await due(everyDays)
        if (days !== null) await publish(days, null)
      } catch (thrown) {
        // The purge waits for this: it must go on when the audit cannot be read.
        deps.log.error('report_not_published', { error: toAppError(thrown).message })
      }
    },
  }
}

const periodOf = ({ from, to }: Days) => ({ from: dateOf(from), to: dateOf(to), days: to - from + 1 })
