import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { logKey, originOf, verifierKey } from '../../cloud/audit/note.ts'
import { exportLog, proveEntry, publishLog } from '../../cloud/audit/publish.ts'
import { openSource } from '../../cloud/audit/source.ts'
import { AGENCY, inLogWorld, type LogWorld } from '../../cloud/audit/testing.ts'
import type { Result } from '../trial/commands-testing.ts'

const BUNDLE = fileURLToPath(new URL('../../cloud/web/bundle.ts', import.meta.url))

/** Runs `node verify.mjs ARGS` where nothing else is, with nothing of our environment. */
function alone(folder: string, ...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, ['verify.mjs', ...args], { cwd: folder, env: {} }, (_, out, err) =>
      resolve({ code: child.exitCode ?? -1, out, err }),
    )
  })
}

interface Alone {
  world: LogWorld
  /** The empty folder with the verifier. */
  folder: string
  key: string
  run(...args: string[]): Promise<Result>
}

/** The file as setup builds it; made once, as it is the same for each test. */
let built: Promise<Buffer> | null = null
function buildVerifier(): Promise<Buffer> {
  built ??= (async () => {
    const folder = mkdtempSync(join(tmpdir(), 'candor-verifier-'))
    try {
      await promisify(execFile)(process.execPath, ['--import', 'tsx', BUNDLE, `${folder}/web/`])
      return readFileSync(join(folder, 'web', 'audit', 'verify.mjs'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })()
  return built
}

async function inEmptyFolder(work: (alone: Alone) => Promise<void>): Promise<void> {
  await inLogWorld(async (world) => {
    const folder = join(world.folder, 'empty')
    mkdirSync(folder)
    writeFileSync(join(folder, 'verify.mjs'), await buildVerifier())
    const key = verifierKey(logKey(originOf(AGENCY), world.signer.publicKeyPem))
    await work({ world, folder, key, run: (...args) => alone(folder, ...args) })
  })
}

/** The agency's side: an export, tiles, and the proof of entry 77, all below `name`. */
async function handOver({ world, folder }: Alone, name: string): Promise<void> {
  const { databaseFile: database, headFile: head, signer } = world
  const source = await openSource({ database, head, publicKeyPem: signer.publicKeyPem })
  try {
    await exportLog(source, join(folder, `${name}.copy`))
    await publishLog({ source, folder: join(folder, `${name}-tiles`), entries: true, verifier: null })
    writeFileSync(join(folder, `${name}.tlog-proof`), await proveEntry(source, 77))
  } finally {
    source.close()
  }
}

test('one file and bare Node verify an export, tiles and a proof, and name the first entry that was changed', async () => {
  await inEmptyFolder(async (all) => {
    const { world, folder, key, run } = all
    world.fill(300)
    await handOver(all, 'first')
    for (const copy of ['first.copy', 'first-tiles']) {
      const whole = await run(copy, '--key', key)
      assert.equal([whole.code, whole.err], [0, ''])
      assert.match(whole.out, /audit of springfield is whole: 300 entries/)
    }
    const proven = await run('--proof', 'first.tlog-proof', '--key', key, '--json')
    assert.equal([proven.code, JSON.parse(proven.out).seq, JSON.parse(proven.out).size], [0, 77, 300])

    const lines = readFileSync(join(folder, 'first.copy'), 'utf8').split('\n')
    lines[77] = (lines[77] ?? '').replace('Elm', 'Oak')
    writeFileSync(join(folder, 'bent.copy'), lines.join('\n'))
    const bent = await run('bent.copy', '--key', key, '--json')
    assert.is(bent.code, 1)
    assert.is(JSON.parse(bent.out).firstBad, 77)
    const missing = await run('nowhere.copy', '--key', key)
    assert.equal(
      [missing.code, /WAS NOT CHECKED: .*nowhere\.copy: no such file/.test(missing.out)],
      [1, true],
      missing.out,
    )
    const since = await run('bent.copy', '--key', key, '--since', 'first-tiles')
    assert.match(since.out, /DOES NOT VERIFY.*First bad entry: 77/)
    writeFileSync(join(folder, 'cut.copy'), `${lines.slice(0, 200).join('\n')}\n`)
    assert.match((await run('cut.copy', '--key', key)).out, /First bad entry: 77|First bad entry: 78/)

    const proof = readFileSync(join(folder, 'first.tlog-proof'), 'utf8')
    writeFileSync(join(folder, 'bent.tlog-proof'), proof.replace('index 76', 'index 75'))
    const unproven = await run('--proof', 'bent.tlog-proof', '--key', key)
    assert.equal([unproven.code, unproven.out], [1, ''])
    assert.match(unproven.err, /entry 76 as it stands here is not in the log/)
  })
})

test('with a checkpoint that was kept, a cut tail and a history that was written and signed anew are found', async () => {
  await inEmptyFolder(async (all) => {
    const { world, folder, key, run } = all
    world.fill(300)
    await handOver(all, 'first')
    copyFileSync(join(folder, 'first-tiles', 'checkpoint'), join(folder, 'kept'))
    const again = async (size: number, name: string, reason: string | null) => {
      world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_entries; DELETE FROM audit_nodes'))
      const change = (
        record: Parameters<NonNullable<Parameters<LogWorld['fill']>[1]>['change'] & object>[0],
        seq: number,
      ) => (seq === 200 && reason !== null ? { ...record, reason } : record)
      world.fill(size, { change })
      await handOver(all, name)
    }
    await again(290, 'cut', null)
    assert.is((await run('cut.copy', '--key', key)).code, 0, 'in itself nothing is wrong with it')
    const cut = await run('cut.copy', '--key', key, '--since', 'kept')
    assert.is(cut.code, 1)
    assert.match(cut.out, /tail is cut off.*knows 300 entries, 290 are there.*First bad entry: 291/s)
    await again(310, 'anew', 'another past')
    assert.is((await run('anew.copy', '--key', key)).code, 0)
    for (const copy of ['anew.copy', 'anew-tiles']) {
      const found = await run(copy, '--key', key, '--since', 'kept')
      assert.is(found.code, 1)
      assert.match(found.out, /history was rewritten/)
      assert.match((await run(copy, '--key', key, '--since', 'first.copy')).out, /First bad entry: 200/)
    }
    await again(310, 'longer', null)
    const longer = await run('longer-tiles', '--key', key, '--since', 'kept', '--since', 'first.copy')
    assert.is(longer.code, 0, longer.out)
    assert.match(longer.out, /continues the earlier checkpoints of 300, 300 entries/)
  })
})

test('the same file is a witness: it makes its key, cosigns a log that grows, and refuses one that was cut', async () => {
  await inEmptyFolder(async (all) => {
    const { world, folder, key, run } = all
    world.fill(300)
    await handOver(all, 'first')
    const made = await run('--new-witness', 'county.example/w1', '--secret', 'secret')
    assert.is(made.code, 0, made.err)
    const witness = made.out.trim()
    const sign = (name: string, ...more: string[]) =>
      run('--cosign', `${name}-tiles`, '--secret', 'secret', '--state', 'state', '--out', 'cosigned', ...more)
    assert.is((await sign('first')).code, 78, 'whose log is it?')
    assert.is((await sign('first', '--key', key)).code, 0)
    const verified = await run('first.copy', '--key', key, '--since', 'cosigned', '--witness', witness)
    assert.match(verified.out, /Cosigned by county\.example\/w1/)
    assert.is((await run('first.copy', '--key', key, '--witness', witness)).code, 1)
    world.tamper((sqlite) => sqlite.exec('DELETE FROM audit_entries; DELETE FROM audit_nodes'))
    world.fill(299)
    await handOver(all, 'cut')
    const refused = await sign('cut')
    assert.is(refused.code, 1)
    assert.match(refused.err, /THE LOG WAS CUT: 300 entries were cosigned, 299 are shown now/)
    assert.match(readFileSync(join(folder, 'cosigned'), 'utf8'), /^candor\.example\/springfield\/audit\n300\n/)
  })
})

test('what is not understood exits with 2 and says how it is used', async () => {
  await inEmptyFolder(async ({ run }) => {
    for (const args of [
      [],
      ['a', 'b'],
      ['--frobnicate'],
      ['--proof', 'x'],
      ['--cosign', 'x'],
      ['--new-witness', 'x'],
    ]) {
      const { code, err } = await run(...args)
      assert.is(code, 2, args.join(' '))
      assert.match(err, /node verify\.mjs COPY/)
    }
    assert.is((await run('--help')).code, 0)
    const missing = await run('nowhere')
    assert.is(missing.code, 1)
    assert.match(missing.out, /no such file or folder/)
  })
})

test.run()
