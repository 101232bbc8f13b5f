/** `candor enrol` as a technician runs it, against a real cloud: a unit becomes a camera, and later the same camera again. */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { inCloud, type TestCloud, until } from '../../cloud/testing.ts'
import { candorProgram } from '../trial/program.ts'

const A = 'elm-st-1'

async function enrol(world: TestCloud, out: string, replaces: boolean): Promise<{ code: number | null; said: string }> {
  const { enrolment } = world.cloud.parts
  const { claim, code } = await enrolment.claim({ camera: A, site: null, hours: 72, replaces }, 'tess')
  const file = join(world.folder, 'claim')
  writeFileSync(
    file,
    JSON.stringify({
      ...{
        candorClaim: 1,
        cloud: `https://localhost:${world.cloud.httpsPort}`,
        agency: 'springfield',
        camera: A,
        code,
      },
      ...{ caPem: world.cloud.caPem, madeAtMs: claim.madeAtMs },
    }),
  )
  const child = spawn(process.execPath, [...candorProgram(), 'enrol', '--claim', file, '--out', out])
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes))
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  let isOver = false
  void ended.then(() => (isOver = true))
  await until('it asks or has ended', () => isOver || said.includes('Waiting until'))
  const [, fingerprint] = /unit’s key: (\S+)/.exec(said) ?? []
  if (fingerprint === undefined) await enrolment.revoke(A, 'ada')
  else await enrolment.approve(A, fingerprint, 'ada')
  return { code: await ended, said }
}

test('a unit is enrolled, through a link to its folder enrolled again, and not while its set-up page may be open', async () => {
  const root = mkdtempSync(join(tmpdir(), 'candor-enrol-'))
  try {
    await inCloud(async (world) => {
      const folder = join(root, 'camera')
      const first = await enrol(world, folder, false)
      assert.is(first.code, 0, first.said)
      const key = () => readFileSync(join(folder, 'key.pem'), 'utf8')
      const before = key()
      symlinkSync(folder, join(root, 'link'))
      const again = await enrol(world, join(root, 'link'), true)
      assert.is(again.code, 0, again.said)
      assert.match(again.said, /elm-st-1: enrolled again, certificate until .* systemctl restart candor-edge/)
      assert.is.not(key(), before)
      assert.equal(readdirSync(root).sort(), ['camera', 'link'])
      const now = key()
      writeFileSync(join(folder, 'set-up'), 'reopened\n')
      const open = await enrol(world, folder, true)
      assert.equal([open.code, key()], [1, now], open.said)
      assert.match(open.said, /set-up page/)
    })
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
})

test.run()
