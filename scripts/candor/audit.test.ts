import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { candor, inWorld } from '../trial/commands-testing.ts'

test('an agency publishes and exports its log, and anybody checks it without an account', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    await asAdministrator('account', 'list')
    const config = ['--config', join(trial.folder, 'cloud.json')]
    const key = ['--key', join(trial.folder, 'data', 'keys', 'audit-signing.public.pem')]
    const open = join(folder, 'public')
    const published = await candor(['audit', 'publish', '--out', open, ...config, '--json'])
    assert.is(published.code, 0, published.err)
    assert.ok(JSON.parse(published.out).size > 0)
    const kept = join(folder, 'kept')
    await writeFile(kept, await readFile(join(open, 'checkpoint')))
    const tiles = await candor(['audit', 'verify', open, ...key])
    assert.equal([tiles.code, tiles.err], [0, ''])
    assert.match(tiles.out, /hashes alone were checked/)

    const copy = join(folder, 'audit.copy')
    const exported = await candor(['audit', 'export', '--out', copy, ...config])
    assert.is(exported.code, 0, exported.err)
    assert.is((await stat(copy)).mode & 0o777, 0o600)
    assert.match(await readFile(copy, 'utf8'), /"operation":"audit\.exported"/, 'that it was taken stands in it')
    const whole = await candor(['audit', 'verify', copy, ...key, '--since', kept, '--json'])
    assert.is(whole.code, 0, whole.out + whole.err)
    assert.is(JSON.parse(whole.out).continues.length, 1)
    const onHost = await candor(['audit', 'verify', ...config, '--since', copy, '--since', kept])
    assert.is(onHost.code, 0, onHost.out + onHost.err)
    assert.match(onHost.out, /continues the earlier checkpoints/)
    const twice = await candor(['audit', 'export', '--out', copy, ...config])
    assert.equal([twice.code, /there already/.test(twice.err)], [1, true])

    await writeFile(copy, (await readFile(copy, 'utf8')).replace('"operation":"account', '"operation":"camera'))
    const bent = await candor(['audit', 'verify', copy, ...key])
    assert.is(bent.code, 1)
    assert.match(bent.out, /First bad entry: \d+/)
    assert.is((await candor(['audit', 'verify', copy, ...config])).code, 2)
    assert.is((await candor(['audit', 'publish', '--out', open])).code, 2)
  })
})

test('a witness outside looks at the cloud and cosigns it; the agency takes that in, and an entry is proven', async () => {
  await inWorld(async ({ folder, trial, as }) => {
    const admin = await as('pat', ['policy-admin'])
    const auditor = await as('ada', ['auditor'])
    const outside = join(folder, 'outside')
    await mkdir(outside)
    const at = (name: string) => join(outside, name)
    const made = await candor(['audit', 'witness', 'key', '--name', 'county.example/w1', '--out', at('secret')])
    assert.is(made.code, 0, made.err)
    await writeFile(at('key'), made.out)
    assert.is((await candor(['audit', 'witness', 'key', '--name', 'x', '--out', at('secret')])).code, 1)
    const added = await admin('audit', 'witness', 'add', 'county', at('key'))
    assert.is(added.code, 0, added.err)

    const known = JSON.parse((await auditor('audit', 'witness', 'list', '--json')).out)
    assert.equal([known.witnesses[0].witness, known.witnesses[0].cosigned], ['county', null])
    const sign = () =>
      candor([
        ...['audit', 'witness', 'sign', '--key', at('secret'), '--state', at('state'), '--out', at('cosigned')],
        ...['--log', `${trial.https.origin}/audit`, '--log-key', known.key, '--ca', join(folder, 'ca.pem')],
      ])
    const signed = await sign()
    assert.is(signed.code, 0, signed.err)
    assert.match(signed.out, /springfield\/audit: \d+ entries, 0 before/)
    const taken = await admin('audit', 'cosign', 'add', at('cosigned'))
    assert.is(taken.code, 0, taken.err)
    assert.match(taken.out, /^county cosigned \d+ entries at /)
    assert.is((await auditor('audit', 'cosign', 'add', at('cosigned'))).code, 1)
    assert.match((await sign()).out, /[1-9]\d* before/)
    assert.match((await auditor('audit', 'witness', 'list')).out, /county .* \d+ entries at/)
    const cosigned = await auditor('audit', 'checkpoint', '--cosigned')
    assert.match(cosigned.out, /county\.example\/w1 /)

    const proof = await auditor('audit', 'prove', '1', '--out', at('one.tlog-proof'))
    assert.is(proof.code, 0, proof.err)
    assert.match(await readFile(at('one.tlog-proof'), 'utf8'), /^c2sp\.org\/tlog-proof@v1\nextra .+\nindex 0\n/)
    const local = await candor(['audit', 'prove', '1', '--config', join(trial.folder, 'cloud.json')])
    assert.match(local.out, /^c2sp\.org\/tlog-proof@v1\n/)
    assert.is((await admin('audit', 'witness', 'remove', 'county')).code, 0)
  })
})

test.run()
