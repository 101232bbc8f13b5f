/** `candor backup` and `candor restore`: run on the host, with the cloud's configuration file. */
import type { Command } from 'commander'

export function register(program: Command): void {
  program
    .command('backup')
    .description('copy database, authority, keys and audit head, also while the cloud runs')
    .argument('<folder>', 'where the backup becomes a new folder')
    .requiredOption('--config <file>', 'configuration file of the cloud')
    .option('--json', 'print the manifest as JSON')
    .action(async (into: string, options: { config: string; json?: boolean }) => {
      const { loadConfig } = await import('../../shared/config.ts')
      const { systemClock } = await import('../../shared/clock.ts')
      const { makeBackup } = await import('../../cloud/backup.ts')
      const { cloudConfigSchema, configBase } = await import('../../cloud/config.ts')
      const { SingleBar } = await import('cli-progress')
      const bar = process.stderr.isTTY
        ? new SingleBar({ format: 'database {bar} {percentage}%', stream: process.stderr })
        : null
      bar?.start(1, 0)
      const { folder, manifest } = await makeBackup({
        config: loadConfig(options.config, cloudConfigSchema),
        base: configBase(options.config),
        into,
        clock: systemClock,
        onProgress: (done, all) => {
          bar?.setTotal(all)
          bar?.update(done)
        },
      }).finally(() => bar?.stop())
      if (options.json === true) {
        process.stdout.write(`${JSON.stringify({ folder, ...manifest })}\n`)
        return
      }
      process.stdout.write(
        `${folder}\n${manifest.files.length} files, audit verified up to entry ${manifest.auditSeq}.\n` +
          'It holds the private keys: keep it on encrypted storage. It is not past retention: delete it when its data should be gone.\n',
      )
    })

  program
    .command('restore')
    .description('restore a backup into a new folder, checking every digest and the audit')
    .argument('<backup>', 'folder that `candor backup` made')
    .requiredOption('--to <folder>', 'new or empty folder; the configuration becomes FOLDER/cloud.json')
    .action(async (backup: string, options: { to: string }) => {
      const { restoreBackup } = await import('../../cloud/backup.ts')
      const manifest = await restoreBackup(backup, options.to)
      const { join } = await import('node:path')
      process.stdout.write(
        `Restored ${manifest.agency} as of ${new Date(manifest.madeAtMs).toISOString()}.\n` +
          `Start it: candor cloud --config ${join(options.to, 'cloud.json')}\n`,
      )
    })
}
