/** `candor release`: bundles of the units' system, brought to the cloud before they are rolled out. */
import type { Command } from 'commander'

interface AddOptions {
  version?: string
  compatible?: string
  notes?: string
}

export function register(program: Command): void {
  const release = program.command('release').description('releases of the units’ system (images)')

  release
    .command('add')
    .description('bring a bundle of ./scripts/image to the cloud; goes on where it was interrupted')
    .argument('<bundle>', 'the .raucb file')
    .option('--version <version>', 'default: what stands in BUNDLE.json beside it')
    .option('--compatible <family>', 'of units; default: the same')
    .option('--notes <text>', 'what is new')
    .action(async (bundle: string, options: AddOptions) => {
      const { systemClock } = await import('../../shared/clock.ts')
      const { addRelease } = await import('./release-calls.ts')
      const { withClient } = await import('./client.ts')
      const { createProgress } = await import('./progress.ts')
      const progress = createProgress(process.stderr, systemClock)
      const added = await withClient((client) => addRelease(client, bundle, options, progress)).finally(() =>
        progress.stop(),
      )
      process.stdout.write(
        `Release ${added.version} for ${added.compatible} is here, ${(added.bytes / 1e6).toFixed(1)} MB, SHA-256 ${added.sha256}.\n` +
          `  candor roll-out start --release ${added.version} --reason TEXT\n`,
      )
    })

  release
    .command('list')
    .description('releases, newest first')
    .option('--json', 'one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { fetchReleases } = await import('./release-calls.ts')
      const { withClient } = await import('./client.ts')
      const { printJson, table, time } = await import('./terminal.ts')
      const releases = await withClient(fetchReleases)
      if (json === true) return printJson(releases)
      const rows = releases.map((one) => [
        ...[one.version, one.compatible, `${(one.bytes / 1e6).toFixed(1)} MB`, time(one.addedAtMs), one.addedBy],
        ...[one.sha256.slice(0, 16), one.notes ?? ''],
      ])
      process.stdout.write(table(['version', 'for', 'size', 'added', 'by', 'sha-256', 'notes'], rows))
    })

  release
    .command('remove')
    .description('forget a release and its file')
    .argument('<version>')
    .option('--compatible <family>', 'of units, where several have this version')
    .action(async (version: string, { compatible }: { compatible?: string }) => {
      const { z } = await import('zod')
      const { releaseNamed } = await import('./release-calls.ts')
      const { withClient } = await import('./client.ts')
      await withClient(async (client) => {
        const { sha256 } = await releaseNamed(client, version, compatible)
        await client.call(z.null(), 'DELETE', `/api/v1/releases/${sha256}`)
      })
      process.stdout.write(`Release ${version} is forgotten.\n`)
    })
}
