/** Fetching a release from a real cloud: only as long as its order stands, and from where it ended. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AGENCY, codeOf, collect, inCloud, subscribe, until } from '../../cloud/testing.ts'
import { createVerifier } from '../../shared/signing.ts'
import { topics } from '../../shared/topics.ts'
import { updateCommandSchema } from '../../shared/wire/index.ts'
import { fetchRelease } from './fetch.ts'

/** More than one read of a socket brings. */
const BYTES = 3_000_000

test('what comes too slowly for its order ends with it, and is kept for who goes on', async () => {
  await inCloud(async (world) => {
    const { rollOuts, keys } = world.cloud.parts
    const bundle = randomBytes(BYTES)
    const sha256 = createHash('sha256').update(bundle).digest('hex')
    await rollOuts.releases.receive(sha256, 0, bundle)
    const release = { version: '1.4.0', compatible: 'candor-arm64', sha256, bytes: BYTES, notes: null }
    await rollOuts.releases.add(release, 'tess')
    const client = await world.connectCamera('north', await world.addCamera('north'))
    const received = collect(client)
    await subscribe(client, topics.commands(AGENCY, 'north'))
    await rollOuts.start({ what: { kind: 'image', sha256 }, cameras: [], first: [], reason: 'a new reader' }, 'tess')
    await until('it is told', () => received.length === 1)
    const text = createVerifier(keys.signing.trusted)
      .open(JSON.parse(String(received[0]?.payload)))
      .toString()
    const command = updateCommandSchema.parse(JSON.parse(text))

    const folder = mkdtempSync(join(tmpdir(), 'candor-fetch-'))
    try {
      const path = join(folder, 'bundle.raucb')
      let looks = 0
      const fetch = (isLate: () => boolean) =>
        fetchRelease(
          command,
          path,
          { host: 'localhost', caPem: world.cloud.caPem, atMs: null, isLate, onUnreadable() {} },
          new AbortController().signal,
        )
      assert.is(await codeOf(() => fetch(() => ++looks > 3)), 'unavailable')
      assert.is(looks, 4, 'it is looked at with what comes, and nothing is asked afterwards')
      const { size } = statSync(`${path}.part`)
      assert.ok(size > 0 && size < BYTES, String(size))
      await fetch(() => false)
      assert.ok(readFileSync(path).equals(bundle))
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

test.run()
