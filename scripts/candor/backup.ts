/** `candor backup` and `candor restore`: run on the host, with the cloud's configuration file. */
import type { Command } from 'commander'
import { usageError } from './options.ts'

interface BackupOptions {
  config: string
  list?: boolean
  destroyExpired?: boolean
  json?: boolean
}

export function register(program: Command): void {
  const backup = program
    .command('backup')
    .description('copy database, authority, keys and audit head into an encrypted file, also while the cloud runs')
    .argument('[folder]', 'where the backup becomes a new file')
    // Required, but not of `backup key`, which has its own.
    .option('--config <file>', 'configuration file of the cloud (required)')
    .option('--list', 'list the backups in the folder, and until when each can be read')
    .option('--destroy-expired', 'destroy the keys of backups whose time is over, as the cloud does by itself')
    .option('--json', 'one JSON document')
    .action(async (folder: string | undefined, { config, ...given }: Partial<BackupOptions>) => {
      if (config === undefined) throw usageError('--config FILE: the configuration file of the cloud')
      const options = { ...given, config }
      if (options.destroyExpired === true) return destroyExpired(options.config, options.json === true)
      if (folder === undefined) throw usageError('name the folder of the backups')
      return options.list === true ? list(folder, options) : make(folder, options)
    })

  const key = backup.command('key').description('the keys of backups, one a day; without them no backup can be read')

  key
    .command('list')
    .description('days, and until when each key lives')
    .requiredOption('--config <file>', 'configuration file of the cloud')
    .option('--json', 'one JSON document')
    .action(async (options: { config: string; json?: boolean }) => {
      const { listKeys, expiryOf } = await import('../../cloud/backup/day-keys.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const { folder, lifeMs } = await withHost(options.config, async (host) => host)
      const keys = (await listKeys(folder)).map((one) => ({
        ...{ day: one.day, keyId: one.keyId, madeAtMs: one.madeAtMs, destroyedAtMs: expiryOf(one, lifeMs) },
      }))
      if (options.json === true) return printJson(keys)
      const rows = keys.map((one) => [one.day, one.keyId, time(one.destroyedAtMs)])
      process.stdout.write(table(['day', 'key', 'destroyed'], rows))
    })

  key
    .command('export')
    .description(
      'bring a medium kept elsewhere in line: it gets the keys that it lacks, and loses those that are destroyed',
    )
    .argument('<folder>', 'on the medium, apart from the backups')
    .requiredOption('--config <file>', 'configuration file of the cloud')
    .option('--json', 'one JSON document')
    .action(async (to: string, options: { config: string; json?: boolean }) => {
      const { copyKeys } = await import('../../cloud/backup/day-keys.ts')
      const { printJson } = await import('./terminal.ts')
      const { copied, destroyed } = await withHost(options.config, ({ folder, agency, audited }) =>
        audited({ operation: 'backup.keys_exported', detail: { folder: to } }, () => copyKeys(folder, to, agency)),
      )
      const told = { copied: copied.map(({ day }) => day), destroyed: destroyed.map(({ day }) => day) }
      if (options.json === true) return printJson(told)
      process.stdout.write(
        `${copied.length} keys copied, ${destroyed.length} destroyed there.\n` +
          'Who has this medium and the backups can read them: keep the two apart.\n',
      )
    })

  program
    .command('restore')
    .description('restore a backup into a new folder, checking all of it and the audit')
    .argument('<backup>', 'file that `candor backup` made')
    .requiredOption('--to <folder>', 'new or empty folder; the configuration becomes FOLDER/cloud.json')
    .requiredOption('--keys <folder>', 'folder or medium that has the key of its day')
    .option('--json', 'one JSON document')
    .action(async (backup: string, options: { to: string; keys: string; json?: boolean }) => {
      const { restoreBackup } = await import('../../cloud/backup.ts')
      const { join } = await import('node:path')
      const { printJson } = await import('./terminal.ts')
      const restored = await restoreBackup(backup, options.to, options.keys)
      if (options.json === true) return printJson(restored)
      process.stdout.write(
        `Restored ${restored.agency} as of ${new Date(restored.madeAtMs).toISOString()}.\n` +
          'What is past its retention by now is deleted at the first start, before anybody is let in.\n' +
          `Start it: candor cloud --config ${join(options.to, 'cloud.json')}\n`,
      )
    })
}

interface OnHost {
  folder: string
  agency: string
  lifeMs: number
  audited: import('../../cloud/host.ts').Host['audited']
}

async function withHost<T>(configFile: string, work: (host: OnHost) => Promise<T>): Promise<T> {
  const { loadConfig } = await import('../../shared/config.ts')
  const { backupLifeMs } = await import('../../cloud/backup/day-keys.ts')
  const { cloudConfigSchema, cloudPaths, configBase } = await import('../../cloud/config.ts')
  const { onHost } = await import('./host.ts')
  const config = loadConfig(configFile, cloudConfigSchema)
  const folder = cloudPaths(config, configBase(configFile)).backupKeysFolder
  return onHost(configFile, (host) =>
    work({
      ...{ folder, agency: config.agency, audited: host.audited },
      lifeMs: backupLifeMs(config.backupDays, host.policy),
    }),
  )
}

async function make(into: string, options: BackupOptions): Promise<void> {
  const { loadConfig } = await import('../../shared/config.ts')
  const { systemClock } = await import('../../shared/clock.ts')
  const { newSecret } = await import('../../shared/ids.ts')
  const { makeBackup } = await import('../../cloud/backup.ts')
  const { expiryOf, keyOfToday } = await import('../../cloud/backup/day-keys.ts')
  const { cloudConfigSchema, configBase } = await import('../../cloud/config.ts')
  const { SingleBar } = await import('cli-progress')
  const { printJson, time } = await import('./terminal.ts')
  const config = loadConfig(options.config, cloudConfigSchema)
  const base = configBase(options.config)
  await withHost(options.config, async ({ folder, agency, lifeMs, audited }) => {
    const key = await keyOfToday(folder, { agency, nowMs: systemClock.nowMs(), lifeMs, newSecret })
    const bar = process.stderr.isTTY
      ? new SingleBar({ format: 'database {bar} {percentage}%', stream: process.stderr })
      : null
    bar?.start(1, 0)
    const onProgress = (done: number, all: number) => {
      bar?.setTotal(all)
      bar?.update(done)
    }
    const request = { config, base, into, key, clock: systemClock, newSecret, onProgress }
    const record = {
      operation: 'backup.made',
      subject: { kind: 'backup_key', id: key.keyId },
      detail: { day: key.day, folder: into },
    }
    const { file, backup } = await audited(record, () => makeBackup(request)).finally(() => bar?.stop())
    const readableUntilMs = expiryOf(key, lifeMs)
    if (options.json === true) return printJson({ file, readableUntilMs, ...backup })
    process.stdout.write(
      `${file}\nRead back; audit verified up to entry ${backup.auditSeq}. Readable until ${time(readableUntilMs)}, with the key of ${key.day}.\n` +
        'Should this machine be lost, so is the key: `candor backup key export` puts it on a medium kept elsewhere.\n',
    )
  })
}

async function list(folder: string, options: BackupOptions): Promise<void> {
  const { listBackups } = await import('../../cloud/backup.ts')
  const { printJson, table, time } = await import('./terminal.ts')
  const host = await withHost(options.config, async (one) => one)
  const backups = await listBackups(folder, host.folder, host.lifeMs)
  if (options.json === true) return printJson(backups)
  const rows = backups.map(({ file, bytes, header, readableUntilMs }) => [
    ...[time(header.madeAtMs), `${(bytes / 1_000_000).toFixed(1)} MB`],
    ...[readableUntilMs === null ? 'key destroyed or elsewhere' : time(readableUntilMs), file],
  ])
  process.stdout.write(table(['made', 'size', 'readable until', 'file'], rows))
}

async function destroyExpired(configFile: string, asJson: boolean): Promise<void> {
  const { systemClock } = await import('../../shared/clock.ts')
  const { destroyExpiredKeys } = await import('../../cloud/backup/upkeep.ts')
  const { printJson } = await import('./terminal.ts')
  const destroyed = await withHost(configFile, ({ folder, lifeMs, audited }) =>
    destroyExpiredKeys({ folder, nowMs: systemClock.nowMs(), lifeMs, audited }),
  )
  const days = destroyed.map(({ day, keyId, sha256 }) => ({ day, keyId, keySha256: sha256 }))
  if (asJson) return printJson(days)
  process.stdout.write(
    `${days.length} keys destroyed${days.length > 0 ? `: ${days.map(({ day }) => day).join(', ')}` : ''}.\n`,
  )
}
