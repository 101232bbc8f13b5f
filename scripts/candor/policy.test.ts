/** `candor policy` as people call it: real processes against a real cloud. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { candor, inWorld, untilPending } from '../trial/commands-testing.ts'

test('a document is shown, changed and applied, whole or in part, after its diff was looked at', async () => {
  await inWorld(async ({ asAdministrator, folder }) => {
    const shown = await asAdministrator('policy', 'show', '--json')
    const document = JSON.parse(shown.out)
    const file = join(folder, 'policy.json')
    document.retention.unmatchedDays = 90
    document.sharing.allowed = true
    await writeFile(file, JSON.stringify(document))
    const looked = await asAdministrator('policy', 'apply', file)
    assert.is(looked.code, 0, looked.err)
    assert.match(looked.out, /retention\.unmatchedDays {2}LOOSENS\n {2}before: .* 30 days.*\n {2}after: .* 90 days/)
    assert.match(looked.out, /2 of 2 loosen the policy/)
    assert.match(looked.err, /Nothing is changed yet: --yes puts it in force/)
    assert.match((await asAdministrator('policy', 'apply', file, '--yes')).err, /at version 2/)
    assert.is((await asAdministrator('policy', 'apply', file, '--yes')).code, 1, 'made from a version that is over')
    await writeFile(file, JSON.stringify({ publication: { contact: 'records@springfield.example' } }))
    assert.match((await asAdministrator('policy', 'apply', file, '--yes')).err, /at version 3/)
    const words = (await asAdministrator('policy', 'show')).out
    assert.match(words, /no list is deleted after 90 days/)
    assert.match(words, /asks: records@springfield\.example/)
    assert.match(words, /no legal advice/)
    assert.match((await asAdministrator('policy', 'show', '--version', '1')).out, /version 1\n[\s\S]*after 30 days/)
    assert.match(
      (await asAdministrator('policy', 'diff', '3', '1')).out,
      /before: Whoever .*\n {2}after: {2}It is not said whom/,
    )
    assert.match(
      (await asAdministrator('policy', 'history')).out,
      /^3 .*admin .*publication\.contact\n2 .*unmatchedDays \(looser\)/m,
    )
    await writeFile(file, '[]')
    assert.match((await asAdministrator('policy', 'apply', file)).err, /is no policy/)
    assert.is((await asAdministrator('policy', 'apply')).code, 2)
    const set = [
      '--audit-days',
      'ever',
      '--share',
      'no',
      '--share-with',
      'US-VA',
      '--publish-days',
      '30',
      '--hold-days',
      '14',
    ]
    const { out, err } = await asAdministrator('policy', 'set', ...set)
    assert.match(out, /at version 4/, err)
    const { audit, publication, sharing } = JSON.parse((await asAdministrator('policy', 'show', '--json')).out)
    assert.equal([audit.days, publication.everyDays, sharing.jurisdictions], [null, 30, ['US-VA']])
  })
})

test('a profile is looked at and applied; from then on a second person decides', async () => {
  await inWorld(async ({ asAdministrator, as }) => {
    const bob = await as('bob', ['policy-admin'])
    const listed = await candor(['policy', 'profiles'])
    assert.match(listed.out, /new-hampshire[\s\S]*washington[\s\S]*no legal advice/)
    assert.match((await candor(['policy', 'profile', 'show', 'nebraska'])).out, /60-3204\(3\)\(b\)/)
    assert.is((await candor(['policy', 'profile', 'show', 'atlantis'])).code, 1)
    const applied = await asAdministrator('policy', 'apply', '--profile', 'virginia', '--yes')
    assert.match(applied.out, /uses\.purposes/)
    assert.match(applied.err, /at version 2/)
    assert.match(
      (await bob('policy', 'show')).out,
      /21 days, on the camera and in the cloud\. \[Va\. Code § 2\.2-5517\]/,
    )
    const proposed = await asAdministrator('policy', 'set', '--matched-days', '300', '--reason', 'a long case')
    assert.match(proposed.out, /waits for a second person: candor policy approve 1/)
    assert.match((await asAdministrator('policy', 'approve', '1', '--yes')).err, /your own proposal/)
    assert.match(
      (await bob('policy', 'proposals', '--waiting')).out,
      /Proposal 1, waiting[\s\S]*a long case[\s\S]*matchedDays {2}LOOSENS/,
    )
    assert.match((await bob('policy', 'approve', '1')).err, /Nothing is changed yet/)
    assert.match((await bob('policy', 'approve', '1', '--yes')).out, /in force, as version 3/)
    assert.match((await bob('policy', 'show')).out, /after 300 days[\s\S]*the profile says: .*21 days/)
    await bob('policy', 'set', '--crop-days', '1')
    assert.match((await asAdministrator('policy', 'reject', '2')).out, /rejected/)
    await bob('policy', 'set', '--crop-days', '2')
    assert.match((await bob('policy', 'withdraw', '3')).out, /withdrawn/)
    assert.is((await bob('policy', 'approve', '9', '--yes')).code, 1)
  })
})

test('a cloud is set up with a profile, and a camera is enrolled with what the policy says', async () => {
  await inWorld(async (world) => {
    const { as, asAdministrator, folder } = world
    const made = await candor([
      'cloud',
      'init',
      join(folder, 'new'),
      '--agency',
      'concord',
      '--profile',
      'new-hampshire',
    ])
    assert.is(made.code, 0, made.err)
    assert.is(JSON.parse(await readFile(join(folder, 'new', 'cloud.json'), 'utf8')).profile, 'new-hampshire')
    assert.is((await candor(['cloud', 'init', join(folder, 'x'), '--agency', 'x', '--profile', 'atlantis'])).code, 78)
    await asAdministrator('policy', 'apply', '--profile', 'new-hampshire', '--yes')
    const out = join(folder, 'north')
    const alone = await asAdministrator('camera', 'add', 'north', '--out', out)
    assert.equal([alone.code, /claim/.test(alone.err)], [1, true], alone.err)
    // The profile wants two people: one makes the claim, the other approves the unit that uses it.
    const claim = join(folder, 'north.claim')
    const tess = await as('tess', ['camera-technician'])
    const claimed = await tess('camera', 'claim', 'north', '--out', claim)
    assert.is(claimed.code, 0, claimed.err)
    const enrolling = candor(['enrol', '--claim', claim, '--out', out])
    const approval = ['camera', 'approve', 'north', '--fingerprint', await untilPending(world, 'north')]
    assert.is((await tess(...approval)).code, 1)
    const approved = await asAdministrator(...approval)
    assert.is(approved.code, 0, approved.err)
    assert.is((await enrolling).code, 0)
    const { upload, unmatchedInMemory, retention } = JSON.parse(await readFile(join(out, 'edge.json'), 'utf8'))
    assert.equal(
      [upload, unmatchedInMemory, Object.keys(retention)],
      ['matches-only', true, ['unmatchedDays', 'matchedDays', 'cropDays']],
    )
  })
})

test.run()
