/** What is due of the keys of backups: those whose time is over are destroyed, each with a receipt in the audit. Called by the cloud's upkeep and by `candor backup`. */
import type { Clock } from '../../shared/clock.ts'
import { toAppError } from '../../shared/errors.ts'
import type { Policy } from '../../shared/wire/index.ts'
import { type AuditRecord, CLOUD_ACTOR } from '../audit/entry.ts'
import { forgetRestored, readRestored } from '../backup.ts'
import type { CloudConfig, cloudPaths } from '../config.ts'
import { backupLifeMs, type DayKey, destroyKey, expiryOf, listKeys } from './day-keys.ts'

export interface KeyUpkeep {
  folder: string
  nowMs: number
  /** By the policy of now; null: as the keys say. */
  lifeMs: number | null
  /** Writes down that a key is destroyed, then has it done. */
  audited: (record: Pick<AuditRecord, 'operation' | 'subject' | 'detail'>, work: () => Promise<void>) => Promise<void>
}

/** Returns the keys that it destroyed. */
export async function destroyExpiredKeys({ folder, nowMs, lifeMs, audited }: KeyUpkeep): Promise<DayKey[]> {
  const expired = (await listKeys(folder)).filter((key) => expiryOf(key, lifeMs) <= nowMs)
  for (const key of expired) {
    const detail = {
      ...{ day: key.day, madeAt: new Date(key.madeAtMs).toISOString(), keySha256: key.sha256 },
      dueAt: new Date(expiryOf(key, lifeMs)).toISOString(),
    }
    const record = { operation: 'backup.key_destroyed', subject: { kind: 'backup_key', id: key.keyId }, detail }
    await audited(record, () => destroyKey(folder, key))
  }
  return expired
}

export interface BackupUpkeep {
  upkeep(): Promise<void>
  /** At the first start after a restore, before anybody is let in: what expired since the backup was made is deleted, and the restore written down. */
  afterRestore(purge: (signal: AbortSignal) => Promise<unknown>, signal: AbortSignal): Promise<void>
}

/** Of a running cloud. */
export function createBackupUpkeep(deps: {
  config: Pick<CloudConfig, 'backupDays'>
  paths: Pick<ReturnType<typeof cloudPaths>, 'backupKeysFolder' | 'restoredFile'>
  policy: () => Policy
  audit: { append(record: AuditRecord): Promise<{ seq: number }> }
  clock: Pick<Clock, 'nowMs'>
}): BackupUpkeep {
  const { config, paths, audit, clock } = deps
  const whole = (record: Pick<AuditRecord, 'operation' | 'subject' | 'detail'>) => ({ ...record, actor: CLOUD_ACTOR })
  return {
    async upkeep() {
      await destroyExpiredKeys({
        ...{ folder: paths.backupKeysFolder, nowMs: clock.nowMs() },
        lifeMs: backupLifeMs(config.backupDays, deps.policy()),
        async audited(record, work) {
          const { seq } = await audit.append({ ...whole(record), outcome: 'allowed' })
          try {
            await work()
          } catch (thrown) {
            const rule = toAppError(thrown).code
            await audit.append({ ...whole(record), outcome: 'refused', rule, completes: seq })
            throw thrown
          }
        },
      })
    },
    async afterRestore(purge, signal) {
      const restored = await readRestored(paths.restoredFile)
      if (restored === null) return
      const detail = { madeAt: new Date(restored.madeAtMs).toISOString(), day: restored.day, keyId: restored.keyId }
      await audit.append({ ...whole({ operation: 'backup.restored', detail }), outcome: 'allowed' })
      await purge(signal)
      await forgetRestored(paths.restoredFile)
    },
  }
}
