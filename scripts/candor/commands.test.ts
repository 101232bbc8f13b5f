/** The commands as people and machines call them: real processes against a real cloud in this one. */
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync } from 'mqtt'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newId } from '../../shared/ids.ts'
import { topics } from '../../shared/topics.ts'
import type { Sighting } from '../../shared/wire/index.ts'
import { enrolCamera, startCamera, writeEdgeConfig } from '../trial/cameras.ts'
import { candor, inWorld, SCENES, type World } from '../trial/commands-testing.ts'
import { sightingLine } from './watch.ts'

/** Reads all sample scenes once with a real camera and waits until everything is acknowledged. */
async function replayScenes({ folder, trial }: World): Promise<void> {
  const cameraFolder = join(folder, 'camera')
  await enrolCamera(trial.https, trial.administratorToken, 'north', cameraFolder)
  const config = await writeEdgeConfig(cameraFolder, {
    agency: trial.agency,
    camera: 'north',
    mqttPort: trial.cloud.mqttPort,
    framesFolder: SCENES,
    framesPerSecond: null,
    loop: false,
    repeatWindowMs: 0,
    exitWhenDone: true,
  })
  const camera = startCamera('north', cameraFolder, config)
  assert.is(await camera.exited, 0, await readFile(camera.logFile, 'utf8'))
}

test('--help lists every command; what is not understood exits with 2 and says how to get help', async () => {
  const help = await candor(['--help'])
  assert.is(help.code, 0)
  for (const name of ['read', 'edge', 'cloud', 'login', 'account', 'camera', 'hotlist', 'alert', 'search', 'audit']) {
    assert.match(help.out, new RegExp(`^  ${name}\\b`, 'm'))
  }
  const unknown = await candor(['reed'])
  assert.is(unknown.code, 2)
  assert.match(unknown.err, /Did you mean read/)
  assert.is((await candor(['read'])).code, 2)
})

test('a wrong configuration exits with 78 and names each problem', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-config-'))
  try {
    const file = join(folder, 'edge.json')
    await writeFile(file, JSON.stringify({ agency: 'Not A Slug', cameraId: 'north', extra: 1 }))
    const edge = await candor(['edge', '--config', file])
    assert.is(edge.code, 78)
    assert.match(edge.err, /agency: .*got/)
    assert.match(edge.err, /extra/)
    assert.is((await candor(['cloud'])).code, 78)
    assert.is((await candor(['cloud', '--config', join(folder, 'none.json')])).code, 78)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('schema and topics print the contract', async () => {
  const schemas = JSON.parse((await candor(['schema'])).out)
  assert.ok(schemas.sighting.properties.plate)
  const topics = JSON.parse((await candor(['topics', '--json'])).out)
  assert.ok(topics.some((row: { topic: string }) => row.topic === 'candor/v1/{agency}/cameras/{camera}/sightings'))
})

test('a first configuration is written once, with the data folder that is asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-init-'))
  try {
    const init = ['cloud', 'init', join(folder, 'etc'), '--agency', 'springfield', '--data-folder', join(folder, 'var')]
    assert.is((await candor(init)).code, 0)
    const config = JSON.parse(await readFile(join(folder, 'etc', 'cloud.json'), 'utf8'))
    assert.equal([config.agency, config.dataFolder], ['springfield', join(folder, 'var')])
    const again = await candor(init)
    assert.is(again.code, 1)
    assert.match(again.err, /there already/)
    assert.is((await candor(['cloud', 'init', join(folder, 'x'), '--agency', 'No Slug'])).code, 78)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('a value that an option does not take is a usage error that names what is taken, before anything is asked of the cloud', async () => {
  const wrong: [string[], RegExp][] = [
    [['schema', 'nothing'], /sighting/],
    [['hotlist', 'rollback', 'stolen', '--to', 'v1'], /whole number/],
    [['hotlist', 'diff', 'stolen', '--from', '1', '--to', '2.5'], /whole number/],
    [['hotlist', 'import', 'x.csv', '--list', 'stolen', '--match', 'fuzzy'], /exact, near/],
    [['hotlist', 'import', 'x.csv', '--list', 'stolen', '--max-age', 'long'], /number above 0/],
    [['account', 'add', 'ann', '--role', 'king'], /officer/],
    [['audit', 'list', '--limit', '501'], /1 to 500/],
    [['audit', 'verify'], /--database/],
    [['search', '--plate', 'ABC123', '--limit', '0'], /1 to 200/],
  ]
  for (const [args, names] of wrong) {
    const { code, err } = await candor(args)
    assert.is(code, 2, args.join(' '))
    assert.match(err, names)
  }
})

test('read gives one JSON line a picture, tells the broken ones and goes on, and exits with 1 for them', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-read-'))
  try {
    const scene = await readFile(join(SCENES, 'scene-002.jpg'))
    await writeFile(join(folder, 'a.jpg'), 'not a picture')
    await writeFile(join(folder, 'b.jpg'), scene.subarray(0, scene.length / 2))
    await writeFile(join(folder, 'c.jpg'), scene)
    await writeFile(join(folder, 'd.txt'), 'not looked at')
    const { code, out } = await candor(['read', '--json', folder])
    assert.is(code, 1)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.is(lines.length, 3)
    assert.match(lines[0].error, /not a picture/)
    assert.match(lines[1].error, /damaged|cut short/)
    assert.is(lines[2].plates[0].plate, 'TJ977FA')
    assert.ok(lines[2].widthPx > 0 && lines[2].elapsedMs > 0)
    assert.equal(Object.keys(lines[2].plates[0].region), ['x', 'y', 'width', 'height'])
    assert.is((await candor(['read', '--json', join(folder, 'c.jpg')])).code, 0)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('read says of a folder without pictures that there is none, reads names that are no text, and lets no name act on the terminal', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'candor-read-'))
  try {
    const empty = await candor(['read', folder])
    assert.equal([empty.code, empty.out], [0, ''])
    assert.match(empty.err, /no picture in it \(.jpg/)
    const scene = await readFile(join(SCENES, 'scene-002.jpg'))
    // Latin-1, as old cameras and archives name their files.
    await writeFile(Buffer.concat([Buffer.from(`${folder}/stra`), Buffer.from([0xdf]), Buffer.from('e.jpg')]), scene)
    await writeFile(join(folder, 'red\u001b[31m\nno plate.jpg'), scene)
    const json = await candor(['read', '--json', folder])
    assert.is(json.code, 0, json.out)
    const read = json.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    assert.equal(
      read.map(({ plates }) => plates[0].plate),
      ['TJ977FA', 'TJ977FA'],
    )
    assert.is(read[0].file, join(folder, 'red\u001b[31m\nno plate.jpg'))
    const shown = await candor(['read', folder])
    assert.not.ok(shown.out.includes('\u001b'))
    assert.match(shown.out, /red\\x1b\[31m\\x0ano plate\.jpg\n {2}TJ977FA/)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 10 })
  }
})

test('a list is imported whole or not at all, and each bad row is told with its line', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    const file = join(folder, 'list.csv')
    // A mark at the start, CRLF, quotes, a column that is not known, and three rows that cannot be.
    await writeFile(
      file,
      '\uFEFFplate,reason,colour\r\n"ABC 123","taken, at night",red\r\n!!,bad,\r\nABC123,again,\r\nTOOLONGPLATE99,bad,\r\nXYZ789,,\r\n',
    )
    const refused = await asAdministrator('hotlist', 'import', file, '--list', 'stolen')
    assert.is(refused.code, 1)
    assert.match(refused.out, /line 3: /)
    assert.match(refused.out, /line 5: /)
    assert.match(refused.out, /not known, and left out: colour/)
    assert.match(refused.out, /Nothing applied/)
    assert.is(JSON.parse((await asAdministrator('hotlist', 'status', '--json')).out).hotlists.length, 0)

    await writeFile(file, 'plate,reason\nABC123,taken\nXYZ789,\n')
    assert.match((await asAdministrator('hotlist', 'import', file, '--list', 'stolen')).out, /version 1 with 2 entries/)
    await writeFile(file, 'plate\nABC123\nNEW456\n')
    await trial.addPerson('kit', ['officer'])
    const known = await asAdministrator('hotlist', 'import', file, '--list', 'stolen')
    assert.is(known.code, 0)
    assert.not.match(known.err, /warning/)
    const nobody = await asAdministrator('hotlist', 'import', file, '--list', 'typo', '--groups', 'patrol,nope')
    assert.is(nobody.code, 0)
    assert.equal(nobody.err.match(/^warning: .*/gm), ['warning: nobody who may see alerts is in the group nope'])
    const diff = await asAdministrator('hotlist', 'diff', 'stolen', '--from', '1', '--to', '2')
    assert.match(diff.out, /- XYZ789/)
    assert.match(diff.out, /\+ NEW456/)
    assert.match((await asAdministrator('hotlist', 'rollback', 'stolen')).out, /version 3 with 2 entries/)

    await writeFile(file, 'number\nABC123\n')
    const rotated = await asAdministrator('hotlist', 'rotate-signing-key', '--reason', 'yearly')
    assert.match(rotated.out, /^Version 3: [0-9a-f]{16} signs\.$/m)
    assert.is((await asAdministrator('hotlist', 'signing-key')).out, rotated.out)
    const missing = await asAdministrator('hotlist', 'import', file, '--list', 'stolen')
    assert.is(missing.code, 1)
    assert.match(missing.out + missing.err, /plate/)
    const nowhere = await asAdministrator('hotlist', 'import', join(folder, 'nowhere.csv'), '--list', 'stolen')
    assert.equal([nowhere.code, /^candor: .*nowhere\.csv: no such file$/m.test(nowhere.err)], [1, true], nowhere.err)
  })
})

test('accounts and cameras are managed from the terminal, and people without the role are refused', async () => {
  await inWorld(async ({ folder, trial, as, asAdministrator }) => {
    const lee = await as('lee', ['officer'])
    const refused = await lee('hotlist', 'status')
    assert.is(refused.code, 1)
    assert.match(refused.err, /permission/)

    await writeFile(join(folder, 'new.password'), 'a password for kim 1\n')
    const password = ['--password-file', join(folder, 'new.password')]
    const added = await asAdministrator('account', 'add', 'kim', '--role', 'auditor,investigator', ...password)
    assert.is(added.code, 0, added.err)
    assert.is((await asAdministrator('account', 'disable', 'kim')).code, 0)
    const accounts = JSON.parse((await asAdministrator('account', 'list', '--json')).out)
    assert.is(accounts.find((one: { account: string }) => one.account === 'kim').state, 'disabled')

    const out = join(folder, 'north')
    const camera = await asAdministrator('camera', 'add', 'north', '--out', out, '--frames', SCENES)
    assert.is(camera.code, 0, camera.err)
    assert.match(await readFile(join(out, 'key.pem'), 'utf8'), /PRIVATE KEY/)
    const config = JSON.parse(await readFile(join(out, 'edge.json'), 'utf8'))
    assert.is(config.broker.url, `mqtts://localhost:${trial.cloud.mqttPort}`)
    assert.is((await asAdministrator('camera', 'add', 'north', '--out', out)).code, 1)
    assert.is((await asAdministrator('camera', 'revoke', 'north')).code, 0)
    assert.match((await asAdministrator('camera', 'list')).out, /north +revoked/)
  })
})

test('an officer takes an alert from its picture to its outcome, and an investigator must say what a search is for', async () => {
  await inWorld(async (world) => {
    const { folder, as, asAdministrator } = world
    const file = join(folder, 'list.csv')
    await writeFile(file, 'plate,reason,case\nTJ977FA,taken,C-1\n')
    await asAdministrator('hotlist', 'import', file, '--list', 'stolen')
    await replayScenes(world)

    const lee = await as('lee', ['officer'])
    const [alert, ...others] = JSON.parse((await lee('alert', 'list', '--json')).out)
    assert.equal(others, [])
    assert.is(alert.match.listedPlate, 'TJ977FA')
    assert.not.match((await lee('alert', 'list')).out, /TJ977FA/, 'the picture is compared before the read is shown')
    const picture = join(folder, 'plate.jpg')
    assert.match((await lee('alert', 'show', alert.alertId, '--picture', picture)).out, /alert compare/)
    assert.is((await readFile(picture)).readUInt16BE(0), 0xffd8)
    const wrong = await lee('alert', 'compare', alert.alertId, '--plate', 'TJ977FB')
    assert.is(wrong.code, 1)
    const skipped = await lee('alert', 'decide', alert.alertId)
    assert.is(skipped.code, 1, 'no step can be skipped')
    assert.is((await lee('alert', 'compare', alert.alertId, '--plate', 'TJ 977 FA')).code, 0)
    assert.is((await lee('alert', 'confirm', alert.alertId, '--with', 'state', '--result', 'stands')).code, 0)
    assert.is((await lee('alert', 'decide', alert.alertId)).code, 0)
    const closed = await lee('alert', 'close', alert.alertId, '--outcome', 'located')
    assert.match(closed.out, /closed: located/)
    assert.match((await lee('alert', 'show', alert.alertId)).out, /case C-1/)
    assert.is((await lee('alert', 'close', alert.alertId, '--outcome', 'nonsense')).code, 2)

    const ines = await as('ines', ['investigator'])
    const bare = await ines('search', '--plate', 'TJ977FA')
    assert.is(bare.code, 1)
    assert.match(bare.err, /case number is missing \(refused, audit entry \d+\)/)
    const stated = ['--case', 'C-1', '--offence', 'theft', '--reason', 'where was it seen']
    const found = JSON.parse((await ines('search', '--plate', 'TJ977FA', ...stated, '--json')).out)
    assert.is(found.total, 1)
    assert.is(found.results[0].sighting.plate, 'TJ977FA')

    const ada = await as('ada', ['auditor'])
    const entries = (await ada('audit', 'list', '--limit', '100', '--json')).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const searches = entries.filter((entry) => entry.operation === 'search.run')
    assert.equal(searches.map((entry) => entry.outcome).sort(), ['allowed', 'refused'])
    assert.not.match(JSON.stringify(entries), /TJ977FA/, 'plates stand in the audit as digests')
  })
})

test('the time of a camera whose clock is wrong is when the cloud received it, and is marked as such', async () => {
  const nowMs = Date.now()
  const sighting: Sighting = {
    ...{ sightingId: newId(), revision: 1, cameraId: 'north', plate: 'TJ977FA', confidence: 0.9, candidates: [] },
    ...{ capturedAtMs: Date.parse('2024-02-03T04:05:06Z'), clock: 'unsynced', frames: 1, match: null, crop: null },
    ...{ jurisdiction: null, region: { x: 1, y: 2, width: 100, height: 30 } },
    versions: { software: '0', detector: 'd', reader: 'r' },
  }
  const today = new RegExp(`${new Date(nowMs).toISOString().slice(0, 10)} [0-9:]+Z \\(received\\)`)
  assert.match(sightingLine(sighting, nowMs), today)
  assert.match(sightingLine({ ...sighting, clock: 'synced' }, nowMs), /^2024-02-03 04:05:06Z {2}north/)
  await inWorld(async ({ folder, trial, as, asAdministrator }) => {
    const list = join(folder, 'list.csv')
    await writeFile(list, 'plate\nTJ977FA\n')
    await asAdministrator('hotlist', 'import', list, '--list', 'stolen')
    const files = await enrolCamera(trial.https, trial.administratorToken, 'north', join(folder, 'north'))
    const camera = await connectAsync(`mqtts://localhost:${trial.cloud.mqttPort}`, {
      ...{ clientId: 'springfield.north', key: files.keyPem, cert: files.certificatePem, ca: files.caPem },
    })
    await camera.publishAsync(topics.sightings('springfield', 'north'), JSON.stringify(sighting), { qos: 1 })
    await camera.endAsync()
    const lee = await as('lee', ['officer'])
    assert.match((await lee('alert', 'list')).out, today)
    const [alert] = JSON.parse((await lee('alert', 'list', '--json')).out)
    assert.match((await lee('alert', 'show', alert.alertId)).out, /CLOCK IS NOT TRUSTED/)
    const ines = await as('ines', ['investigator'])
    const stated = ['--case', 'C-1', '--offence', 'theft', '--reason', 'where was it seen']
    const from = new Date(nowMs - 3_600_000).toISOString()
    assert.match((await ines('search', '--plate', 'TJ977FA', '--from', from, ...stated)).out, today)
  })
})

test('log-in keeps a session that only its owner can read, until log-out', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    const environment = { CANDOR_SESSION: join(folder, 'session.json'), CANDOR_PASSWORD_FILE: '' }
    await asAdministrator('account', 'list')
    const options = ['--cloud', trial.https.origin, '--ca', join(folder, 'ca.pem'), '--account', 'admin']
    const login = await candor(['login', ...options, '--password-file', join(folder, 'admin.password')], environment)
    assert.is(login.code, 0, login.err)
    assert.is((await stat(environment.CANDOR_SESSION)).mode & 0o777, 0o600)
    assert.is((await candor(['account', 'list'], environment)).code, 0)
    assert.is((await candor(['logout'], environment)).code, 0)
    const after = await candor(['account', 'list'], environment)
    assert.is(after.code, 1)
    assert.match(after.err, /not logged in/)
    const foreign = await candor(
      ['login', ...options.with(3, join(folder, 'other.pem')), '--password-file', join(folder, 'admin.password')],
      environment,
    )
    assert.is(foreign.code, 1)
  })
})

test('a script logs in once for all its commands, again when its session has ended, and not for a wrong password', async () => {
  await inWorld(async ({ folder, trial, as, asAdministrator }) => {
    const logIns = async () => {
      const { out } = await candor(['audit', 'list', '--limit', '500', '--json', '--config', config])
      return out.split('\n').filter((line) => /"session\.login"/.test(line) && /"lee"/.test(line)).length
    }
    const config = join(trial.folder, 'cloud.json')
    const lee = await as('lee', ['officer'])
    for (let n = 0; n < 3; n += 1) assert.is((await lee('alert', 'list')).code, 0)
    assert.is(await logIns(), 1)
    const kept = (await readdir(folder)).filter((name) => /^session-[0-9a-f]{16}\.json$/.test(name))
    assert.is(kept.length, 1)
    assert.is((await stat(join(folder, kept[0] ?? ''))).mode & 0o777, 0o600)

    assert.is((await asAdministrator('account', 'set', 'lee', '--role', 'officer', '--group', 'patrol')).code, 0)
    assert.is((await lee('alert', 'list')).code, 0, 'its session was ended by the change')
    assert.is(await logIns(), 2)

    await writeFile(join(folder, 'wrong'), 'not the password\n')
    await writeFile(join(folder, 'next'), 'a longer password 12\n')
    const files = ['--current-file', join(folder, 'wrong'), '--password-file', join(folder, 'next')]
    assert.is((await lee('account', 'password', ...files)).code, 1)
    assert.is(await logIns(), 2)

    assert.is((await lee('logout')).code, 0)
    assert.equal(
      (await readdir(folder)).filter((name) => kept.includes(name)),
      [],
    )
  })
})

test('the audit verifies on the server and from copies, and on the server the record itself is written in', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    await asAdministrator('account', 'list')
    const config = join(trial.folder, 'cloud.json')
    const whole = await candor(['audit', 'verify', '--config', config])
    assert.is(whole.code, 0, whole.out + whole.err)
    assert.match(whole.out, /is whole: \d+ entries/)
    const listed = await candor(['audit', 'list', '--config', config])
    assert.match(listed.out, /audit\.list/)

    const data = join(trial.folder, 'data')
    const head = join(folder, 'head.json')
    await copyFile(join(data, 'audit', 'head.json'), head)
    const text = await readFile(head, 'utf8')
    await writeFile(
      head,
      text.replace(/"signature":"(.)/, (_, first) => `"signature":"${first === 'A' ? 'B' : 'A'}`),
    )
    const forged = await candor([
      ...['audit', 'verify', '--json', '--database', join(data, 'candor.db'), '--head', head],
      ...['--key', join(data, 'keys', 'audit-signing.public.pem')],
    ])
    assert.is(forged.code, 1)
    assert.is(JSON.parse(forged.out).ok, false)
  })
})

test('a backup made while the cloud runs is restored into a folder that starts', async () => {
  await inWorld(async ({ folder, trial }) => {
    const config = ['--config', join(trial.folder, 'cloud.json')]
    const backups = join(folder, 'backups')
    const made = await candor(['backup', backups, ...config, '--json'])
    assert.is(made.code, 0, made.err)
    const medium = join(folder, 'medium')
    const exported = await candor(['backup', 'key', 'export', medium, ...config])
    assert.match(exported.out, /^1 keys copied, 0 destroyed/, exported.err)
    const listed = await candor(['backup', backups, '--list', ...config])
    assert.match(listed.out, /\.candor-backup$/m, listed.err)
    assert.is(JSON.parse((await candor(['backup', 'key', 'list', ...config, '--json'])).out).length, 1)
    assert.match((await candor(['backup', '--destroy-expired', ...config])).out, /^0 keys destroyed/)
    assert.is((await candor(['backup', ...config])).code, 2)
    const to = join(folder, 'restored')
    const restored = await candor(['restore', JSON.parse(made.out).file, '--to', to, '--keys', medium])
    assert.is(restored.code, 0, restored.err)
    const verified = await candor(['audit', 'verify', '--config', join(to, 'cloud.json')])
    assert.is(verified.code, 0, verified.out + verified.err)
  })
})

test.run()
