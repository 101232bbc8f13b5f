/** List files as agencies have them, brought in by the command: real processes against a real cloud. */

import { readFile, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createServer, connect as openSocket, type Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readOf } from '../../cloud/testing.ts'
import { candor, inWorld } from '../trial/commands-testing.ts'

const FIXED = {
  format: 'fixed-width',
  encoding: 'latin-1',
  skipLines: 1,
  trailer: { startsWith: 'TRL', count: { start: 4, length: 5 } },
  columns: [
    { from: { start: 1, length: 8 }, to: 'plate' },
    { from: { start: 9, length: 2 }, to: 'state' },
    { from: { start: 11, length: 2 }, to: 'category', values: { SV: 'stolen vehicle' } },
    { from: { start: 13, length: 8 }, to: 'expires' },
    { from: { start: 21, length: 20 }, to: 'reason' },
  ],
  dateFormat: 'MMDDYYYY',
  defaults: { priority: 2 },
}

test('a fixed-width extract is tried, applied as the dry run says, and refreshed without a word of its mapping', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    const file = (name: string, text: string) =>
      writeFile(join(folder, name), text, 'latin1').then(() => join(folder, name))
    const mapping = await file('county.json', JSON.stringify(FIXED))
    const wrong = await file(
      'wrong.json',
      JSON.stringify({ ...FIXED, columns: [...FIXED.columns, FIXED.columns[0], {}] }),
    )
    const refused = await asAdministrator('hotlist', 'mapping', 'save', 'county', wrong)
    assert.is(refused.code, 1)
    assert.match(refused.err, /columns\.6/)
    assert.match(
      (await asAdministrator('hotlist', 'mapping', 'save', 'county', join(folder, 'none.json'))).err,
      /none.json/,
    )
    assert.is((await asAdministrator('hotlist', 'mapping', 'save', 'county', mapping)).code, 0)
    assert.match((await asAdministrator('hotlist', 'mapping', 'list')).out, /county +fixed-width +5/)

    const rows = 'EXTRACT OF TODAY\r\nABC123  CASV12312099M\u00fcller saw it\r\nBCD234  TX\r\nXX!     NV\r\n'
    const short = await file('short.txt', `${rows}TRL00004\r\n`)
    const cut = await asAdministrator(
      'hotlist',
      'import',
      short,
      '--list',
      'stolen',
      '--mapping',
      'county',
      '--dry-run',
    )
    assert.is(cut.code, 1)
    assert.match(cut.out, /line 5: the trailer tells of 4 rows, and there are 3/)

    const extract = await file('extract.txt', `${rows}TRL00003\r\n`)
    const dry = await asAdministrator(
      'hotlist',
      'import',
      extract,
      '--list',
      'stolen',
      '--mapping',
      'county',
      '--dry-run',
    )
    assert.is(dry.code, 1)
    assert.match(dry.out, /characters 9-10 +state/)
    assert.match(dry.out, /line 4: not a plate/)
    assert.match(dry.out, /2 added, 0 removed, 0 changed, 0 unchanged/)
    const command = dry.out.trim().split('\n').at(-1)?.trim().split(' ') ?? []
    assert.equal(command.slice(0, 4), ['candor', 'hotlist', 'import', extract])
    const applied = await asAdministrator(...command.slice(1), '--json')
    assert.is(applied.code, 0, applied.err)
    const report = JSON.parse(applied.out)
    assert.equal([report.applied, report.good, report.bad, report.mapping], [true, 2, 1, 'county'])
    const entry = trial.cloud.parts.hotlists.match(readOf('ABC123'), Date.UTC(2026, 10, 28))
    assert.equal([entry?.category, entry?.priority], ['stolen vehicle', 2])
    const source = await trial.cloud.parts.hotlists.source('stolen', entry?.entryId ?? '')
    assert.is(source?.reason, 'M\u00fcller saw it')

    const refresh = await asAdministrator(
      'hotlist',
      'import',
      await file('next.txt', 'TODAY\nABC123  CASV\nTRL00001\n'),
      '--list',
      'stolen',
    )
    assert.is(refresh.code, 0, refresh.err)
    assert.match(refresh.out, /0 added, 1 removed, 1 changed, 0 unchanged/)
    const used = await asAdministrator('hotlist', 'mapping', 'remove', 'county')
    assert.equal([used.code, /used by stolen/.test(used.err)], [1, true])
    const csv = await file('ours.csv', 'LIC,VIN\nABC123,1HG\n')
    const back = await asAdministrator('hotlist', 'import', csv, '--list', 'stolen', '--mapping', 'none')
    assert.match(back.out, /names in its header row[\s\S]*Columns left out: VIN/)
    assert.is((await asAdministrator('hotlist', 'mapping', 'remove', 'county')).code, 0)
    const shown = JSON.parse((await asAdministrator('hotlist', 'mapping', 'show', 'ncic')).out)
    assert.is(
      (await asAdministrator('hotlist', 'mapping', 'save', 'ours', await file('ours.json', JSON.stringify(shown))))
        .code,
      0,
    )
  })
})

test('an import that lasts tells how far it is on stderr, and --json is one document all the same', async () => {
  await inWorld(async ({ folder, asAdministrator }) => {
    const file = join(folder, 'large.csv')
    await writeFile(file, `plate\n${Array.from({ length: 120_000 }, (_, i) => `P${100_000 + i}\n`).join('')}`)
    const { code, out, err } = await asAdministrator('hotlist', 'import', file, '--list', 'large', '--json')
    assert.is(code, 0, err)
    assert.is(JSON.parse(out).good, 120_000)
    assert.match(
      err,
      /^(uploading|reading and comparing|digesting|publishing|clearing)( \d+%)?( \([\d,.]+ (rows|of) .*\))?$/m,
    )
  })
})

test('a line that breaks after the file was sent does not lose the outcome', async () => {
  await inWorld(async ({ folder, trial, asAdministrator }) => {
    await asAdministrator('hotlist', 'status')
    const file = join(folder, 'list.csv')
    await writeFile(file, `plate\n${Array.from({ length: 30_000 }, (_, i) => `P${100_000 + i}\n`).join('')}`)
    // A proxy that ends each connection half a second after most of a list file has gone through it.
    const sockets = new Set<Socket>()
    let broken = 0
    const proxy = createServer((near) => {
      const far = openSocket(trial.cloud.httpsPort, '127.0.0.1')
      let passed = 0
      for (const socket of [near, far]) {
        sockets.add(socket)
        socket.on('error', () => {})
        socket.once('close', () => {
          near.destroy()
          far.destroy()
        })
      }
      near.on('data', (chunk) => {
        const before = passed
        passed += chunk.length
        if (before < 200_000 && passed >= 200_000) {
          setTimeout(() => {
            broken += 1
            near.destroy()
          }, 500)
        }
      })
      near.pipe(far).pipe(near)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    try {
      const { account, password } = trial.administrator
      await writeFile(join(folder, 'password'), password)
      const { port } = proxy.address() as AddressInfo
      const { code, out, err } = await candor(['hotlist', 'import', file, '--list', 'stolen', '--json'], {
        CANDOR_CLOUD: `https://localhost:${port}`,
        CANDOR_CA: join(folder, 'ca.pem'),
        CANDOR_ACCOUNT: account,
        CANDOR_PASSWORD_FILE: join(folder, 'password'),
        CANDOR_SESSION: join(folder, 'proxied.session'),
      })
      assert.is(broken, 1, 'the line broke while the import ran')
      assert.is(code, 0, err)
      assert.equal([JSON.parse(out).applied, JSON.parse(out).good], [true, 30_000])
      assert.match(await readFile(file, 'utf8'), /^plate/)
    } finally {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    }
  })
})

test.run()
