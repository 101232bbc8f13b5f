import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../shared/clock.ts'
import { silentLog } from '../shared/log.ts'
import type { AuditRecord } from './audit/entry.ts'
import { createDenialAudit, DENIAL_WINDOW_MS, type Denied, MAX_DENIAL_KINDS } from './denials.ts'
import { inCloud, until } from './testing.ts'

const from = (who: string, rule: Denied['rule'] = 'credentials'): Denied => ({
  rule,
  who,
  address: '192.0.2.7',
  topic: null,
})

test('refusals of many are told apart up to the limit, and those of more are counted together by their rule', async () => {
  await inCloud(async (world) => {
    const { clock, cloud } = world
    const denials = createDenialAudit({ audit: cloud.parts.audit, clock, log: silentLog })
    const entries = async () => (await world.audited('broker.denied')).map((entry) => [entry.rule, entry.detail.count])
    const written = (count: number) => until(`${count} are written`, async () => (await entries()).length === count)
    for (let i = 0; i < MAX_DENIAL_KINDS; i++) denials.note(from(`client-${i}`))
    await written(MAX_DENIAL_KINDS)
    for (let i = 0; i < 3; i++) denials.note(from(`one-more-${i}`))
    denials.note(from('client-0'))
    denials.note(from('another', 'publish'))
    await written(MAX_DENIAL_KINDS + 2)
    assert.equal((await entries()).slice(0, 2), [
      ['publish', 1],
      ['credentials', 1],
    ])
    await denials.flush()
    // Two of the three further ones, and client-0 which was known, stand in one entry: beyond the limit only the rule counts.
    assert.equal((await entries())[0], ['credentials', 3])
    assert.is((await entries()).length, MAX_DENIAL_KINDS + 3)
  })
})

test('repeats are counted until the window is over, and told apart again after it', async () => {
  await inCloud(async (world) => {
    let nowMs = 0
    const clock = { ...world.clock, monotonicMs: () => nowMs }
    const denials = createDenialAudit({ audit: world.cloud.parts.audit, clock, log: silentLog })
    const counts = async () => (await world.audited('broker.denied')).map((entry) => entry.detail.count)
    denials.note(from('eve'))
    nowMs = DENIAL_WINDOW_MS - 1
    denials.note(from('eve'))
    await until('the first is written', async () => (await counts()).length === 1)
    nowMs = DENIAL_WINDOW_MS
    denials.note(from('mallory'))
    await until('the repeat and the next are written', async () => (await counts()).length === 3)
    assert.equal(await counts(), [1, 1, 1])
    denials.note(from('eve'))
    await until('eve is a first one again', async () => (await counts()).length === 4)
  })
})

test('once all is written down, a first refusal that was still being written stands in the audit as well', async () => {
  const written: string[] = []
  const slow = {
    async append(record: AuditRecord) {
      await sleep(50)
      written.push(`${record.subject?.id} ${record.detail?.count}`)
      return { seq: written.length }
    },
  }
  const denials = createDenialAudit({ audit: slow, clock: systemClock, log: silentLog })
  denials.note(from('eve'))
  denials.note(from('eve'))
  denials.note(from('mallory'))
  await denials.flush()
  assert.equal(written, ['eve 1', 'mallory 1', 'eve 1'])
})

test.run()
