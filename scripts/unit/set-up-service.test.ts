import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

const SERVICE = fileURLToPath(new URL('../../systemd/candor-setup.service', import.meta.url))

test('what root does for the set-up page stays in its folder, whatever links the page has left there', () => {
  const commands = [...readFileSync(SERVICE, 'utf8').matchAll(/^Exec(?:StartPre|StopPost)=\+(\S*chown .*)$/gm)].map(
    ([, command = '']) => command.split(' '),
  )
  assert.is(commands.length, 2)
  const home = mkdtempSync(join(tmpdir(), 'candor-set-up-'))
  try {
    // In an image /etc/candor-edge is a link itself.
    const folder = join(home, 'data', 'camera')
    mkdirSync(join(folder, 'deeper'), { recursive: true })
    writeFileSync(join(folder, 'deeper', 'edge.json'), '{}')
    const link = join(home, 'candor-edge')
    symlinkSync(folder, link)
    // One to a file outside, one to a folder outside, and one that leads nowhere.
    const outside = join(home, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'shadow'), 'of root')
    symlinkSync(join(outside, 'shadow'), join(folder, 'edge.json'))
    symlinkSync(outside, join(folder, 'data'))
    symlinkSync(join(home, 'nowhere'), join(folder, 'key.pem'))
    const { uid } = userInfo()
    // As root it would be given to another account, to see that nothing outside is.
    const owner = uid === 0 ? 65_534 : uid
    for (const [program = '', ...args] of commands) {
      const ours = args.map((word) =>
        word.replace(/^(candor-setup|root):$/, `${owner}`).replace('/etc/candor-edge', link),
      )
      assert.ok(ours.includes(`${owner}`) && ours.at(-1)?.startsWith(link))
      execFileSync(program, ours)
      const ownerOf = (path: string) => execFileSync('stat', ['-c', '%u', path], { encoding: 'utf8' }).trim()
      assert.is(ownerOf(outside), `${uid}`)
      assert.is(ownerOf(join(outside, 'shadow')), `${uid}`)
      assert.is(ownerOf(join(folder, 'deeper', 'edge.json')), `${owner}`)
      assert.is(ownerOf(join(folder, 'key.pem')), `${owner}`)
      assert.is(ownerOf(folder), `${owner}`)
    }
  } finally {
    rmSync(home, { recursive: true })
  }
})

test.run()
