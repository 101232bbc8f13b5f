/** For tests of what is kept on a disk, and of disks that are full. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'

/** Runs a shell script in a namespace of its own, where it may mount: nothing is left mounted, and no root is needed. "$@" is the command. */
export const ownFileSystem = (script: string, ...command: string[]) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...command], { encoding: 'utf8' })

/** Some kernels and containers allow no user namespaces; then such a test says that it is skipped (scripts/allowed-skips.json). */
export const withFileSystem = ownFileSystem(`mount -t tmpfs tmpfs ${tmpdir()}`).status === 0 ? test : test.skip

/** `use` gets a folder of its own, which goes with it. */
export function inFolder(use: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'candor-test-'))
  try {
    use(folder)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
