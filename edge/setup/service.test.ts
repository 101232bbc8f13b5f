/** What candor-setup.service says of the page must go with what the page does; `./scripts/hil units` tries it under a real systemd. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { HOUR_MS, MINUTE_MS, SECOND_MS } from '../../shared/clock.ts'
import { MARK_FILE, markWaiting } from './draft.ts'
import { PAGE_LIFE_MS, STUCK_MS, TICK_MS } from './limits.ts'

const UNIT = readFileSync(new URL('../../systemd/candor-setup.service', import.meta.url), 'utf8')
const said = (name: string) => [...UNIT.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value ?? '')

test('systemd ends a page that hangs, and one that has outlived itself, no sooner than it would by itself', () => {
  assert.ok(Number(said('WatchdogSec')[0]) > 0)
  assert.ok(STUCK_MS > 4 * TICK_MS)
  const [, hours = '', minutes = ''] = /^(\d+)h (\d+)min$/.exec(said('RuntimeMaxSec')[0] ?? '') ?? []
  const longestMs = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS
  assert.ok(
    longestMs > PAGE_LIFE_MS + Number(said('TimeoutStartSec')[0]) * SECOND_MS && longestMs < PAGE_LIFE_MS + HOUR_MS,
  )
})

test('a page that has failed leaves no mark on a camera that was opened again, and keeps it on a unit that is none yet', async () => {
  const [command = ''] = said('ExecStopPost').filter((line) => line.includes(MARK_FILE))
  const [, program] = /^\+\/bin\/sh -c '(.*)'$/.exec(command) ?? []
  assert.ok(program)
  const folder = mkdtempSync(join(tmpdir(), 'candor-mark-'))
  try {
    const after = (SERVICE_RESULT: string) => {
      const text = (program ?? '').replaceAll('$$', '$').replaceAll('/etc/candor-edge', folder)
      execFileSync('/bin/sh', ['-c', text], { env: { SERVICE_RESULT, PATH: '/usr/bin:/bin' } })
      return existsSync(join(folder, MARK_FILE))
    }
    await markWaiting(folder, 'new')
    assert.equal([after('success'), after('watchdog')], [true, true])
    await markWaiting(folder, 'reopened')
    assert.is(after('success'), true, 'the unit is switched off in the middle of it')
    for (const result of ['watchdog', 'timeout', 'exit-code', 'signal']) {
      await markWaiting(folder, 'reopened')
      assert.is(after(result), false, result)
    }
    assert.is(after('watchdog'), false)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.run()
