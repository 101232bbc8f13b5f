/** For tests of full disks. */
import { spawnSync } from 'node:child_process'
import { tmpdir } from 'node:os'
import { test } from 'uvu'

/** Runs a shell script in a namespace of its own, where it may mount: nothing is left mounted, and no root is needed. "$@" is the command. */
export const ownFileSystem = (script: string, ...command: string[]) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', script, 'sh', ...command], { encoding: 'utf8' })

/** Some kernels and containers allow no user namespaces; then such a test says that it is skipped (scripts/allowed-skips.json). */
export const withFileSystem = ownFileSystem(`mount -t tmpfs tmpfs ${tmpdir()}`).status === 0 ? test : test.skip
