/** What a unit finds beside its configuration when the page opens: a claim that was on its card, and settings that were chosen for it. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { codeOf, inCloud, until } from '../../cloud/testing.ts'
import { keyDigest, shortFingerprint } from '../../shared/certificate-request.ts'
import { silentLog } from '../../shared/log.ts'
import { runSetup, systemSetupDeps } from './main.ts'

const A = 'elm-st-1'

/** The page over a folder with these files. */
async function withGiven(
  files: Record<string, string>,
  work: (folder: string, said: () => string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'candor-given-'))
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
    const said: string[] = []
    const running = await runSetup(
      {
        ...{ configFile: join(folder, 'edge.json'), port: 0, codeFile: null },
        ...{ claimFile: join(folder, 'claim.json'), settingsFile: join(folder, 'settings.json') },
      },
      { ...systemSetupDeps(silentLog), say: (line) => void said.push(line) },
    )
    try {
      await work(folder, () => said.join('\n'))
    } finally {
      await running.close()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

test('a claim from the card is used as soon as the page opens, the settings become the camera’s, and the claim is removed', async () => {
  await inCloud(async ({ cloud }) => {
    const { enrolment } = cloud.parts
    const { claim, code } = await enrolment.claim({ camera: A, site: null, hours: 72, replaces: false }, 'tess')
    const file = {
      ...{ candorClaim: 1, cloud: `https://localhost:${cloud.httpsPort}`, agency: 'springfield', camera: A, code },
      ...{ caPem: cloud.caPem, madeAtMs: claim.madeAtMs },
    }
    const settings = {
      ...{ statusFile: 'status.json', updates: {}, vision: { threads: 1 }, broker: { keepaliveSeconds: 17 } },
      ...{ agency: 'another', cameraId: 'another' },
    }
    const files = { 'claim.json': JSON.stringify(file), 'settings.json': JSON.stringify(settings) }
    await withGiven(files, async (folder) => {
      const key = () => readFileSync(join(folder, 'key.pem'), 'utf8')
      await until('the unit has asked', async () => {
        if (!existsSync(join(folder, 'key.pem'))) return false
        return enrolment.approve(A, shortFingerprint(keyDigest(key())), 'ada').then(
          () => true,
          () => false,
        )
      })
      await until('the claim is gone', () => !existsSync(join(folder, 'claim.json')))
      const config = JSON.parse(readFileSync(join(folder, 'edge.json'), 'utf8'))
      assert.equal([config.agency, config.cameraId], ['springfield', A], 'who it is, only the enrolment says')
      assert.equal([config.statusFile, config.updates, config.vision], ['status.json', {}, { threads: 1 }])
      assert.is(config.broker.keepaliveSeconds, 17)
      assert.match(config.broker.url, /^mqtts:\/\/localhost:\d+$/)
    })
  })
})

test('a claim that is none keeps no page shut; settings that are none do, and say why', async () => {
  await withGiven({ 'claim.json': '{"candorClaim": 1}' }, async (folder, said) => {
    assert.match(said(), /claim\.json: the claim’s file/)
    assert.match(said(), /code \S{4}-\S{4}/)
    assert.ok(existsSync(join(folder, 'claim.json')))
  })
  const never = async () => assert.unreachable()
  assert.is(await codeOf(() => withGiven({ 'settings.json': '{' }, never)), 'configuration')
  for (const wrong of ['{"vision": {"threads": 0}}', '{"source": {"kind": "stream"}}', '{"view": {"masks": [[]]}}'])
    assert.is(await codeOf(() => withGiven({ 'settings.json': wrong }, never)), 'configuration', wrong)
})

test.run()
