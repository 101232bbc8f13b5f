/**
 * What a command on the server itself may do without a session: the first administrator, unlocking, taking lost second
 * factors away, and reading the audit. It
 * works on the database beside a running cloud, and every act is in the audit with the system's user name.
 */
import { systemClock } from '../shared/clock.ts'
import { AppError } from '../shared/errors.ts'
import { newId, newSecret } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { removeIfThere } from '../shared/secret-file.ts'
import type { Policy } from '../shared/wire/index.ts'
import { openLogin } from './accounts/opening.ts'
import type { Account, Accounts } from './accounts.ts'
import type { Actor, AuditRecord } from './audit/entry.ts'
import { type Audit, openAudit } from './audit/log.ts'
import { type RotationStep, readRotation } from './authority/rotation.ts'
import { rotateAuthority } from './authority.ts'
import { type CloudConfig, cloudPaths } from './config.ts'
import { openSqlite } from './database/sqlite.ts'
import { openKeys } from './keys.ts'
import { createPolicy } from './policy.ts'

const HOST_ACTOR: Actor = { account: null, roles: [], session: null, source: 'host' }

export interface Host {
  firstAdministrator(first: { account: string; password: string }): Promise<Account>
  unlock(account: string): Promise<Account>
  /** Removes every second factor, so that the person can log in by password and add a new one. */
  resetFactors(account: string): Promise<Account>
  listAudit: Audit['list']
  /** Writes down that entries of the audit were taken out, before they are. */
  noteAuditTaken(operation: string): Promise<void>
  /**
   * A step from the authority to the next, see authority/rotation.ts. Throws `conflict`, naming them, while cameras have not followed the
   * step before; `leave`: they are to be enrolled anew.
   */
  rotateAuthority(step: RotationStep, leave: boolean): Promise<void>
  readonly policy: Policy
  /** Writes it down, then does it; and that it failed, if so. */
  audited<T>(record: Pick<AuditRecord, 'operation' | 'subject' | 'detail'>, work: () => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** `user`: name of the system's account that runs the command. Throws as the parts do. */
export async function openHost(config: CloudConfig, base: string, user: string): Promise<Host> {
  const paths = cloudPaths(config, base)
  const database = openSqlite({ path: paths.databaseFile, nowMs: systemClock.nowMs() })
  let audit: Audit
  let accounts: Accounts
  let policy: Policy
  try {
    const keys = await openKeys({ folder: paths.keysFolder, newSecret })
    // Without the provider: what is wrong with that must not keep the host out.
    const own = { config: { ...config, oidc: undefined }, paths, database, keys, newId, newSecret }
    // No page is served from here, and nobody logs in.
    accounts = (await openLogin({ ...own, clock: systemClock, log: silentLog, pageOrigin: () => 'https://localhost' }))
      .accounts
    const keeper = await createPolicy({
      ...{ database, agency: config.agency, signer: keys.lists, trusted: () => keys.signing.trusted },
      ...{ clock: systemClock, retentionDays: config.retentionDays, upload: config.upload },
    })
    policy = keeper.current()
    audit = await openAudit({
      database,
      agency: config.agency,
      headPath: paths.auditHeadFile,
      digestKey: keys.plateDigestKey,
      signer: keys.audit,
      isNew: await accounts.isEmpty(),
      clock: systemClock,
      log: silentLog,
    })
  } catch (thrown) {
    await database.close()
    throw thrown
  }

  async function audited<T>(
    record: Pick<AuditRecord, 'operation' | 'subject' | 'detail'>,
    work: () => Promise<T>,
  ): Promise<T> {
    const whole = { ...record, actor: HOST_ACTOR, detail: { ...record.detail, user } }
    const { seq } = await audit.append({ ...whole, outcome: 'allowed' })
    try {
      return await work()
    } catch (thrown) {
      const rule = thrown instanceof AppError ? thrown.code : 'internal'
      await audit.append({ ...whole, outcome: 'refused', rule, completes: seq })
      throw thrown
    }
  }

  /** Cameras that are not revoked and have had no certificate since the last step. */
  async function notFollowed(): Promise<string[]> {
    const sinceMs = (await readRotation(paths.authorityFolder)).last?.atMs ?? 0
    const rows = await database.read(
      database.build
        .selectFrom('camera_certificates')
        .select('camera_id')
        .where('revoked_at_ms', 'is', null)
        .where('takes_over', '=', 0)
        .where('issued_at_ms', '<', sinceMs)
        .orderBy('camera_id'),
    )
    return rows.map((row) => row.camera_id)
  }

  return {
    policy,
    audited,
    async rotateAuthority(step, leave) {
      const missing = step === 'prepare' || leave ? [] : await notFollowed()
      if (missing.length > 0) {
        throw new AppError(
          'conflict',
          `${missing.length} camera(s) have not followed the step before: ${missing.slice(0, 20).join(', ')}`,
          {
            hint: 'wait until they have been online for some hours, or leave them (`--leave`) and enrol them anew',
          },
        )
      }
      await audited({ operation: 'authority.rotate', detail: { step, leave } }, () =>
        rotateAuthority(step, paths.authorityFolder, config.agency, systemClock),
      )
    },
    firstAdministrator: (first) =>
      audited({ operation: 'account.first', subject: { kind: 'account', id: first.account } }, async () => {
        const account = await accounts.addFirst(first)
        await removeIfThere(paths.setupCodeFile)
        return account
      }),
    unlock: (account) =>
      audited({ operation: 'account.unlock', subject: { kind: 'account', id: account } }, () =>
        accounts.unlock(account, null),
      ),
    resetFactors: (account) =>
      audited({ operation: 'factor.reset', subject: { kind: 'account', id: account } }, () =>
        accounts.resetFactors(account, null),
      ),
    listAudit: (page) => audited({ operation: 'audit.list', detail: { ...page } }, () => audit.list(page)),
    noteAuditTaken: (operation) => audited({ operation }, async () => {}),
    async close() {
      await audit.close()
      await database.close()
    },
  }
}
