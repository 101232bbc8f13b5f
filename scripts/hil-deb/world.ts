/**
 * `world.ts FOLDER`: a real cloud for the container of deb.sh, with one claim in FOLDER/claim.json; approves whoever asks with it, and writes
 * each second into FOLDER/seen what the cloud holds and which software the camera says to be. Ends when FOLDER/over is there.
 */
import { existsSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MINUTE_MS, systemClock } from '../../shared/clock.ts'
import { createLog } from '../../shared/log.ts'
import { openDatabase } from '../../shared/sqlite.ts'
import { openTrialCloud } from '../trial/cloud.ts'

const CAMERA = 'north-1'
const LOOK_MS = 1_000
/** The test that this is for takes three minutes; who forgets it must not keep a cloud. */
const MOST_MS = 30 * MINUTE_MS

const [folder = ''] = process.argv.slice(2)
const trial = await openTrialCloud(join(folder, 'cloud'), 'springfield', createLog({ level: 'error', part: 'hil' }))
const { cameras, enrolment, authority } = trial.cloud.parts
const { code } = await enrolment.claim({ camera: CAMERA, site: null, hours: 1, replaces: false }, 'admin')
const claim = {
  ...{ candorClaim: 1, cloud: trial.https.origin, agency: trial.agency, camera: CAMERA, code },
  ...{ caPem: authority.trustedPem, madeAtMs: systemClock.nowMs() },
}

async function write(name: string, text: string): Promise<void> {
  await writeFile(join(folder, `${name}.new`), text, { mode: 0o600 })
  await rename(join(folder, `${name}.new`), join(folder, name))
}

async function approveWhoAsks(): Promise<void> {
  for (const one of await enrolment.list())
    if (one.state === 'asked' && one.fingerprint !== null) await enrolment.approve(CAMERA, one.fingerprint, 'admin')
}

/** Sightings, those that are held more than once, and the camera's software. */
async function seen(): Promise<string> {
  const database = openDatabase(join(trial.folder, 'data', 'candor.db'), { readonly: true })
  try {
    const count = (sql: string) => Number(database.prepare(sql).pluck().get())
    const held = count('SELECT count(DISTINCT sighting_id) FROM sightings')
    const twice = count(
      'SELECT count(*) FROM (SELECT 1 FROM sightings GROUP BY sighting_id, revision HAVING count(*) > 1)',
    )
    const [camera] = await cameras.list()
    return `${held} ${twice} ${camera?.status?.online === true ? camera.status.software : '-'}\n`
  } finally {
    database.close()
  }
}

await write('claim.json', JSON.stringify(claim))
const endMs = systemClock.monotonicMs() + MOST_MS
while (!existsSync(join(folder, 'over')) && systemClock.monotonicMs() < endMs) {
  await approveWhoAsks()
  await write('seen', await seen())
  await systemClock.sleep(LOOK_MS)
}
await trial.cloud.close()
