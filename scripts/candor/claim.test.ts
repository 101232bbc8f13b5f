/** A unit's way from a claim to a running camera, as a technician and an administrator go it: real processes, a real cloud. */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadEdgeConfig } from '../../edge/config.ts'
import { candor, inWorld, SCENES, untilPending } from '../trial/commands-testing.ts'

const FINGERPRINT = /([0-9a-f]{4}-){4}[0-9a-f]{4}/

test('a claim’s file makes a unit a camera once its fingerprint is approved, and a second unit raises the alarm', async () => {
  await inWorld(async (world) => {
    const [file, out] = [join(world.folder, 'north.claim'), join(world.folder, 'unit')]
    const made = await world.asAdministrator('camera', 'claim', 'north', '--site', 'North St', '--out', file)
    assert.is(made.code, 0, made.err)
    assert.is(statSync(file).mode & 0o777, 0o600)
    const { code } = JSON.parse(readFileSync(file, 'utf8'))
    assert.not.ok(made.out.includes(code))
    const waiting = await world.asAdministrator('camera', 'claims')
    assert.match(waiting.out, /north +waiting +North St/)
    const again = await world.asAdministrator('camera', 'claim', 'north', '--out', join(world.folder, 'other'))
    assert.equal([again.code, /open claim for north/.test(again.err)], [1, true])

    const enrolling = candor(['enrol', '--claim', file, '--out', out, '--frames', SCENES])
    const fingerprint = await untilPending(world, 'north')
    const wrong = fingerprint.replace(/^./, (digit) => (digit === '0' ? '1' : '0'))
    assert.is((await world.asAdministrator('camera', 'approve', 'north', '--fingerprint', wrong)).code, 1)
    const approved = await world.asAdministrator('camera', 'approve', 'north', '--fingerprint', fingerprint)
    assert.is(approved.code, 0, approved.err)
    const enrolled = await enrolling
    assert.is(enrolled.code, 0, enrolled.err)
    assert.is(FINGERPRINT.exec(enrolled.err)?.[0], fingerprint)
    assert.is(loadEdgeConfig(join(out, 'edge.json'), null).cameraId, 'north')

    const second = await candor(['enrol', '--claim', file, '--out', join(world.folder, 'second')])
    assert.equal([second.code, /another unit has used/.test(second.err)], [1, true])
    const shown = await world.asAdministrator('camera', 'list')
    assert.match(shown.out, /north +never seen/)
    assert.match(shown.out, /ALARM: the claim for north/)
    assert.is((await world.asAdministrator('camera', 'claim-revoke', 'north')).code, 0)
    assert.not.match((await world.asAdministrator('camera', 'list')).out, /ALARM/)
  })
})

test('a claim’s code is typed with the cloud and the SHA-256 of its authority; wrong ones say what is missing', async () => {
  await inWorld(async (world) => {
    const made = await world.asAdministrator('camera', 'claim', 'north')
    const [, code = '', cloud = '', pin = ''] =
      /--claim (\S+) --cloud (\S+) \\\n +--ca-sha256 (\S+)/.exec(made.out) ?? []
    const [out, file] = [join(world.folder, 'unit'), join(world.folder, 'code')]
    writeFileSync(file, `${code}\n`)
    const enrol = (...args: string[]) => candor(['enrol', '--out', out, '--frames', SCENES, ...args])
    for (const [args, message] of [
      [['--claim', code], /--cloud https/],
      [['--claim', code, '--cloud', cloud], /--ca or --ca-sha256/],
      [['--claim', code, '--cloud', cloud, '--ca-sha256', pin.slice(1)], /64 hexadecimal/],
      [['--claim', code.slice(1), '--cloud', cloud], /code is not right/],
      [['--claim', code, '--cloud', cloud, '--ca-sha256', '0'.repeat(64)], /not trusted/],
    ] as const) {
      const refused = await enrol(...args)
      assert.equal([refused.code, message.test(refused.err)], [1, true], refused.err)
      assert.not.ok(refused.err.includes(code))
    }
    const enrolling = enrol('--claim', file, '--cloud', cloud, '--ca-sha256', pin)
    const fingerprint = await untilPending(world, 'north')
    const officer = await world.as('kim', ['officer', 'hotlist-admin'])
    assert.is((await officer('camera', 'approve', 'north', '--fingerprint', fingerprint)).code, 1)
    assert.is((await world.asAdministrator('camera', 'reject', 'north')).code, 0)
    const rejected = await enrolling
    assert.equal([rejected.code, /rejected/.test(rejected.err)], [1, true], rejected.err)
  })
})

test.run()
