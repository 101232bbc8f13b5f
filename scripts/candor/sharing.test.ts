/** Pairing, grants, searching at a partner and comparing both records, as people call them: real processes against two real clouds. */
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PASSWORD } from '../../cloud/api/testing.ts'
import type { Role } from '../../cloud/permissions.ts'
import { addPartner, inTwoClouds, OPEN, PLATE, PURPOSE, see, setPolicy } from '../../cloud/sharing/testing.ts'
import type { TestCloud } from '../../cloud/testing.ts'
import { sha256Hex } from '../../shared/signing.ts'
import { candor } from '../trial/commands-testing.ts'

/** A way to run commands as a new account of that cloud. */
async function personOf(world: TestCloud, account: string, role: Role) {
  await world.addPerson(account, [role], [])
  const path = (name: string) => join(world.folder, name)
  await writeFile(path('password'), `${PASSWORD}\n`)
  await writeFile(path('ca.pem'), world.cloud.caPem)
  const environment = {
    ...{ CANDOR_CLOUD: `https://localhost:${world.cloud.httpsPort}`, CANDOR_CA: path('ca.pem') },
    ...{ CANDOR_ACCOUNT: account, CANDOR_PASSWORD_FILE: path('password'), CANDOR_SESSION: path(`${account}.session`) },
  }
  return (...args: string[]) => candor(args, environment)
}

test('two agencies pair, one grants, the other searches there, and both records agree', async () => {
  await inTwoClouds(async (asker, owner) => {
    await setPolicy(owner, OPEN)
    const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.alloc(100, 7), Buffer.from([0xff, 0xd9])])
    await see(owner, { crop: { sha256: sha256Hex(jpeg), bytes: jpeg.length } }, jpeg)
    const paul = await personOf(asker, 'paul', 'policy-admin')
    const petra = await personOf(owner, 'petra', 'policy-admin')

    const made = await paul('partner', 'identity')
    assert.is(made.code, 0, made.err)
    await writeFile(join(owner.folder, 'springfield.json'), made.out)
    const facts = [join(owner.folder, 'springfield.json'), '--name', 'Springfield Police', '--jurisdiction', 'US-VA']
    const shown = await petra('partner', 'add', ...facts)
    assert.is(shown.code, 1)
    const spoken = /(?:[0-9a-f]{4} ){15}[0-9a-f]{4}/.exec(shown.err)?.[0] ?? ''
    assert.ok(spoken !== '' && made.err.includes(spoken), 'both sides read the same')
    const added = await petra('partner', 'add', ...facts, '--fingerprint', spoken)
    assert.match(added.out, /^springfield is a partner\. It may search nothing/)
    await addPartner(asker, owner)
    assert.match(
      (await petra('partner', 'list')).out,
      /^springfield +Springfield Police +US-VA +https:\/\/localhost:\d+ +since/m,
    )

    const terms = [
      '--purposes',
      PURPOSE,
      '--what',
      'sightings',
      '--max-age-days',
      '21',
      '--until',
      '2027-01-31',
      '--crops',
      'yes',
    ]
    const other = await petra('grant', 'add', 'springfield', ...terms.map((one) => (one === PURPOSE ? 'parking' : one)))
    assert.is(other.code, 1)
    assert.match(other.err, new RegExp(`no purpose parking\\n +it gives them .*${PURPOSE}`))
    const granted = await petra('grant', 'add', 'springfield', ...terms)
    assert.is(granted.code, 0, granted.err)
    const grantId = /^Grant (\S+) for springfield is in force\.$/m.exec(granted.out)?.[1] ?? ''
    assert.match(
      (await paul('partner', 'grants', 'shelby')).out,
      new RegExp(`^${grantId} +shelby +active +${PURPOSE} +sightings +all +21 d`, 'm'),
    )

    const ines = await personOf(asker, 'ines', 'investigator')
    const search = (...more: string[]) =>
      ines(
        'search',
        '--plate',
        PLATE,
        '--case',
        '24-00123',
        '--offence',
        'burglary',
        '--reason',
        'vehicle seen at the break-in',
        ...more,
      )
    const pictures = join(asker.folder, 'pictures')
    const found = await search('--agencies', 'shelby', '--purpose', PURPOSE, '--pictures', pictures)
    assert.equal([found.code, found.err], [0, ''])
    assert.match(found.out, /^0 sightings\. Audit entry \d+\.$/m)
    assert.match(found.out, /^shelby: 1 sighting\. Audit entry \d+ here, \d+ there\.$/m)
    assert.match(found.out, new RegExp(`elm-st-1 +. ${PLATE} `))
    const [file = ''] = readdirSync(pictures)
    assert.ok(readFileSync(join(pictures, file)).equals(jpeg))
    const json = JSON.parse((await search('--agencies', 'all', '--purpose', PURPOSE, '--json')).out)
    assert.equal([json.total, json.agencies.length, json.agencies[0].outcome], [0, 1, 'answered'])

    assert.match((await petra('grant', 'revoke', grantId)).out, /is revoked/)
    const refused = await search('--agencies', 'shelby', '--purpose', PURPOSE)
    assert.match(refused.out, /^shelby: refused \(no_grant: there is no grant\)\. Audit entry \d+ here, \d+ there\.$/m)

    const odile = await personOf(asker, 'odile', 'auditor')
    const period = ['--from', '2026-01-01', '--to', '2027-12-31']
    const agreed = await odile('partner', 'reconcile', 'shelby', ...period)
    assert.equal([agreed.code, agreed.out], [0, '3 searches compared, 0 differences.\n'])
    owner.sql(`DELETE FROM shared_searches WHERE outcome = 'refused'`)
    const differing = await odile('partner', 'reconcile', 'shelby', ...period)
    assert.is(differing.code, 1)
    assert.match(differing.out, /us +missing there +\d+, refused/)

    assert.match((await petra('partner', 'revoke', 'springfield')).out, /is no partner any more/)
  })
})

test.run()
