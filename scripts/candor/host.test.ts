/** Commands on the server itself and around enrolment, and the help of all, as people call them. */
import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Command } from 'commander'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { checkConfig } from '../../shared/config.ts'
import { silentLog } from '../../shared/log.ts'
import { candor, inWorld } from '../trial/commands-testing.ts'
import { createProgram } from './program.ts'

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

test('every command and verb says what it does, and each of its options too', async () => {
  const program = createProgram()
  const all = everyCommand(program)
  assert.ok(all.length > 35, `${all.length} commands`)
  for (const command of all) {
    const help = command.helpInformation()
    assert.match(help, new RegExp(`^Usage: .*\\b${command.name()}\\b`))
    assert.is.not(command.description(), '', command.name())
    for (const option of command.options)
      assert.is.not(option.description, '', `${command.parent?.name()} ${command.name()} ${option.flags}`)
  }
  // What `--help` prints is the same list.
  const { code, out } = await candor(['--help'])
  assert.is(code, 0)
  for (const { name } of program.commands.map((one) => ({ name: one.name() })))
    assert.match(out, new RegExp(`^  ${name}\\b`, 'm'))
  const verbs = await candor(['hotlist', '--help'])
  assert.is(verbs.code, 0)
  for (const verb of ['import', 'status', 'rollback', 'diff']) assert.match(verbs.out, new RegExp(`^  ${verb}\\b`, 'm'))
})

test('doctor looks at every part, and its exit code says whether all is well', async () => {
  const { code, out } = await candor(['doctor', '--json'])
  const findings: { name: string; ok: boolean; detail: string }[] = JSON.parse(out)
  assert.ok(findings.length >= 5)
  assert.is(code, findings.every(({ ok }) => ok) ? 0 : 1, out)
  const told = await candor(['doctor'])
  for (const { name } of findings) assert.ok(told.out.includes(name), name)
})

test('a first configuration starts a cloud, its first administrator is made on the server, once, and can log in', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-init-'))
  try {
    const home = join(folder, 'cloud')
    const config = join(home, 'cloud.json')
    const init = ['cloud', 'init', home, '--agency', 'springfield', '--hostname', 'localhost', '127.0.0.1']
    const made = await candor(init)
    assert.is(made.code, 0, made.err)
    assert.match(made.out, /Start it: candor cloud --config/)
    const again = await candor(init)
    assert.is(again.code, 1)
    assert.match(again.err, /is there already/)
    assert.is((await candor(['cloud', 'init', join(folder, 'other'), '--agency', 'Not A Slug'])).code, 78)

    const password = join(folder, 'password')
    await writeFile(password, 'a password for ada 1\n')
    const first = ['account', 'first', '--config', config, '--account', 'ada', '--password-file', password]
    const early = await candor(first)
    assert.is(early.code, 78)
    assert.match(early.err, /has not been started yet/)

    const { cloudConfigSchema, configBase } = await import('../../cloud/config.ts')
    const { runCloud } = await import('../../cloud/main.ts')
    const written = JSON.parse(await readFile(config, 'utf8'))
    const own = { ...written, host: '127.0.0.1', mqttPort: 0, httpsPort: 0 }
    const cloud = await runCloud(checkConfig(own, cloudConfigSchema, config), configBase(config), {
      log: silentLog,
    })
    try {
      const done = await candor(first)
      assert.is(done.code, 0, done.err)
      assert.match(done.out, /ada is the first administrator: .*account-admin/)
      assert.is((await candor(first)).code, 1, 'there is one now')
      const session = { CANDOR_SESSION: join(folder, 'session.json') }
      const cloudUrl = `https://localhost:${cloud.httpsPort}`
      const caFile = join(home, 'data', 'authority', 'ca.pem')
      const login = ['login', '--cloud', cloudUrl, '--ca', caFile, '--account', 'ada', '--password-file', password]
      const opened = await candor(login, session)
      assert.is(opened.code, 0, opened.err)
      assert.match(opened.out, /needs a second factor/)
      const listed = await candor(['account', 'list'], session)
      assert.is(listed.code, 1)
      assert.match(listed.err, /candor factor totp/)
      const secret = join(folder, 'totp-secret')
      const factor = ['factor', 'totp', '--password-file', password, '--secret-file', secret, '--json']
      const added = await candor(factor, session)
      assert.is(added.code, 0, added.err)
      assert.is(JSON.parse(added.out).recoveryCodes.length, 10)
      assert.match((await candor(['account', 'list'], session)).out, /^ada +active/m)

      const [recovery] = JSON.parse(added.out).recoveryCodes
      assert.not.match(added.err, new RegExp(recovery))
      const without = await candor(login, session)
      assert.is(without.code, 1, 'nobody to ask for a code')
      assert.match(without.err, /no terminal to ask on: code of your authenticator app.*--totp-secret-file/s)
      const again = await candor([...login, '--totp-secret-file', secret], session)
      assert.is(again.code, 0, again.err)
      assert.not.match(again.out, /second factor/)
      const factors = JSON.parse((await candor(['factor', 'list', '--json'], session)).out)
      assert.equal([factors.mustEnrol, factors.keys, factors.recoveryCodesLeft], [false, [], 10])
      assert.is((await candor(['account', 'reset-factors', 'ada'], session)).code, 1, 'never one’s own')
      assert.is((await candor(['account', 'reset-factors', 'ada', '--config', config])).code, 0)
    } finally {
      await cloud.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('a locked account is unlocked by an administrator, and on the server itself', async () => {
  await inWorld(async ({ trial, asAdministrator }) => {
    await trial.addPerson('kim', ['officer'])
    const lock = async () => {
      for (let n = 0; n < 5; n += 1)
        await trial.logIn({ account: 'kim', password: 'wrong', roles: [] }).then(
          () => assert.unreachable('a wrong password'),
          () => {},
        )
    }
    const stateOfKim = async () => {
      const accounts = JSON.parse((await asAdministrator('account', 'list', '--json')).out)
      return accounts.find((one: { account: string }) => one.account === 'kim').state
    }
    await lock()
    assert.is(await stateOfKim(), 'locked')
    assert.match((await asAdministrator('account', 'unlock', 'kim')).out, /kim is unlocked/)
    assert.is(await stateOfKim(), 'active')
    await lock()
    assert.is(await stateOfKim(), 'locked')
    const onHost = await candor(['account', 'unlock', 'kim', '--config', join(trial.folder, 'cloud.json')])
    assert.is(onHost.code, 0, onHost.err)
    assert.is(await stateOfKim(), 'active')
    assert.is((await candor(['account', 'unlock', 'nobody', '--config', join(trial.folder, 'cloud.json')])).code, 1)
  })
})

test('a camera that is replaced has a new key and certificate under its old name', async () => {
  await inWorld(async ({ folder, asAdministrator }) => {
    const first = join(folder, 'first')
    const second = join(folder, 'second')
    assert.is((await asAdministrator('camera', 'add', 'north', '--out', first)).code, 0)
    const replaced = await asAdministrator('camera', 'replace', 'north', '--out', second)
    assert.is(replaced.code, 0, replaced.err)
    const certificate = async (of: string) => new X509Certificate(await readFile(join(of, 'certificate.pem')))
    const [before, after] = [await certificate(first), await certificate(second)]
    assert.is(before.subjectAltName, after.subjectAltName)
    assert.is.not(before.serialNumber, after.serialNumber)
    assert.is.not(await readFile(join(first, 'key.pem'), 'utf8'), await readFile(join(second, 'key.pem'), 'utf8'))
    assert.is(JSON.parse(await readFile(join(second, 'edge.json'), 'utf8')).cameraId, 'north')
    const unknown = await asAdministrator('camera', 'replace', 'south', '--out', join(folder, 'third'))
    assert.is(unknown.code, 1)
    assert.is((await asAdministrator('camera', 'replace', 'north', '--out', second)).code, 1, 'the folder is in use')
  })
})

test.run()
