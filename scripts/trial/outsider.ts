/** What an outsider would ask of a trial: is a search without a case refused and written down, does the audit verify, what is stored? */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { verifyAudit } from '../../cloud/audit/verify.ts'
import { cloudPaths } from '../../cloud/config.ts'
import { KEY_FILES } from '../../cloud/keys.ts'
import { AppError, describeError, toAppError } from '../../shared/errors.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import type { TrialCloud } from './cloud.ts'
import type { Person } from './people.ts'

const pathsOf = ({ folder }: TrialCloud) => cloudPaths({ dataFolder: 'data' }, folder)

/** Final ones, in the cloud: what is watched live is QoS 0 and may be missed. */
export function storedSightings(trial: TrialCloud): number {
  const database = openDatabase(pathsOf(trial).databaseFile, { readonly: true })
  try {
    return database.prepare('SELECT count(*) FROM sightings WHERE revision = 1').pluck().get() as number
  } finally {
    database.close()
  }
}

const auditSchema = z.object({
  entries: z.array(z.object({ seq: z.int(), operation: z.string(), outcome: z.string(), rule: z.string().nullable() })),
})

/** The words with which the cloud refuses it, and the entry of the audit that says so. Throws when it is refused for anything else. */
export async function refusedSearch(
  trial: TrialCloud,
  investigator: Person,
  auditor: Person,
): Promise<{ reason: string; auditSeq: number }> {
  const token = await trial.logIn(investigator)
  const query = { plate: 'AB*', fromMs: null, toMs: null, cameras: [], caseNumber: '', offenceType: '', reason: '' }
  const refused = await trial.https
    .call('POST', '/api/v1/search', { token, json: { ...query, limit: 10, offset: 0 } })
    .then(() => new AppError('internal', 'a search without a case number was answered'), toAppError)
  const auditSeq = Number(/case number is missing \(refused, audit entry (\d+)\)/.exec(refused.message)?.[1])
  if (!Number.isInteger(auditSeq)) throw refused
  const page = `/api/v1/audit?limit=1&before=${auditSeq + 1}`
  const { entries } = auditSchema.parse(await trial.https.call('GET', page, { token: await trial.logIn(auditor) }))
  const [entry] = entries
  if (entry?.seq !== auditSeq || entry.outcome !== 'refused' || entry.rule !== 'case_number_missing')
    throw new AppError('integrity', `the refused search is not what entry ${auditSeq} of the audit says`)
  return { reason: describeError(refused), auditSeq }
}

export async function auditVerdict(trial: TrialCloud) {
  const paths = pathsOf(trial)
  const publicKeyPem = await readFile(join(paths.keysFolder, KEY_FILES.auditPublic), 'utf8')
  return await verifyAudit({ database: paths.databaseFile, head: paths.auditHeadFile, publicKeyPem })
}
