/**
 * No query that people, cameras or the clock can cause reads a whole table: a scan that is quick in a test holds up the broker
 * when there are a million rows. What a running cloud asks of its database is written down, and SQLite says how it would find it.
 */
import { X509Certificate } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { keyDigest, newCameraRequest, shortFingerprint } from '../shared/certificate-request.ts'
import { DAY_MS, HOUR_MS } from '../shared/clock.ts'
import { newId } from '../shared/ids.ts'
import { silentLog } from '../shared/log.ts'
import { openDatabase } from '../shared/sqlite.ts'
import { topics } from '../shared/topics.ts'
import { ALERT_STATES, type Alert } from '../shared/wire/index.ts'
import { readEntries } from './audit/reading.ts'
import type { Statement } from './database/database.ts'
import { CAMERA, healthOf, withCamera as withFleetCamera } from './fleet/testing.ts'
import { createListRows } from './hotlists/rows.ts'
import type { CloudDeps } from './main.ts'
import { PURGE_INTERVAL_MS } from './retention.ts'
import { type FindRequest, find } from './search/find.ts'
import { ask, giveGrant, inTwoClouds, prepare } from './sharing/testing.ts'
import {
  AGENCY,
  collect,
  eachAlone,
  inCloud,
  makeSighting,
  publish,
  publishSighting,
  subscribe,
  type TestCloud,
  until,
} from './testing.ts'
import { WEBHOOK_LIMITS } from './webhooks.ts'

const A = 'elm-st-1'
const PLATE = 'ABC1230'
const ACTOR = { account: 'ines', roles: ['investigator' as const], session: null, source: '127.0.0.1' }
const FIND = {
  ...{ plate: null, confusable: false, fromMs: null, toMs: null, cameras: [], lists: [], jurisdiction: null },
  ...{ colour: null, places: [], placesMet: 0, limit: 100, limitMs: 10_000 },
}

const SEARCH = {
  ...{ plate: PLATE, fromMs: null, toMs: null, cameras: [], limit: 200, offset: 0 },
  ...{ caseNumber: '24-00123', offenceType: 'burglary', reason: 'vehicle seen at the break-in' },
}

/** From its end, for one row. */
const LAST_AUDIT_PURGE = /^SCAN audit_purges: .* order by "through_seq" desc limit \?$/

/** A statement that was run, and the lines of its plan [sqlite.org/eqp.html]. */
interface Planned {
  sql: string
  plan: string[]
}

/** Runs `work` and returns a plan for each different statement that went to the database meanwhile. */
async function plansOf(
  world: TestCloud,
  work: (ran: ReadonlyMap<string, unknown>) => Promise<unknown>,
): Promise<Planned[]> {
  const { database } = world.cloud.parts
  const { read, writeBatch } = database
  const ran = new Map<string, readonly unknown[]>()
  const note = (statement: Statement) => {
    const { sql, parameters } = 'sql' in statement ? statement : statement.compile()
    ran.set(sql, parameters)
  }
  database.read = (query) => {
    note(query)
    return read(query)
  }
  database.writeBatch = (statements) => {
    statements.forEach(note)
    return writeBatch(statements)
  }
  try {
    await work(ran)
  } finally {
    Object.assign(database, { read, writeBatch })
  }
  const connection = openDatabase(world.databaseFile)
  try {
    return [...ran].map(([sql, parameters]) => {
      const lines = connection.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters) as { detail: string }[]
      return { sql, plan: lines.map(({ detail }) => detail) }
    })
  } finally {
    connection.close()
  }
}

/** Walked whole, and rightly so. */
const SHORT: readonly RegExp[] = [
  // Made by the statement itself: a page, rows of VALUES.
  /^SCAN (page:|seen:|CONSTANT|\d+ CONSTANT)/,
  // A partial index: only what is to be published stands in it.
  /^SCAN alerts USING INDEX alerts_unpublished:/,
  // The same of alarms about cameras.
  /^SCAN fleet_alarms USING INDEX fleet_alarms_untold:/,
  // From an end, for a page.
  /^SCAN fleet_alarms USING INDEX fleet_alarms_(open_by|by)_time: .* order by "raised_at_ms" desc limit \?$/,
  // By number from the end, and ends with the first.
  /^SCAN audit_entries: select "seq", "hash" from "audit_entries" order by "seq" desc limit \?$/,
  // The same of checkpoints that were cosigned.
  /^SCAN audit_checkpoints: select \* from "audit_checkpoints" order by "size" desc limit \?$/,
  // Bounded by MAX_WITNESSES.
  /^SCAN audit_witnesses: /,
  // A partial index: only versions whose new entries are to be held against the past stand in it.
  /^SCAN hotlist_versions USING INDEX hotlist_versions_past:/,
  // Bounded by MAX_OPEN_CLAIMS, and by the alarms that nobody has ended; from an end, for a page.
  /^SCAN camera_claims USING (COVERING )?INDEX camera_claims_(open|alarms): select (count|"camera_id", "misuses")/,
  /^SCAN camera_claims USING INDEX sqlite_autoindex_camera_claims_1: .* order by "claim_id" desc limit \?$/,
  // Bounded by MAX_LISTS.
  /^SCAN hotlists(?: USING INDEX sqlite_autoindex_hotlists_1)?: /,
  // From an end, for one of them.
  /^SCAN review_periods: .* order by "from_ms" desc limit \?$/,
  /^SCAN usage_searches USING COVERING INDEX usage_searches_by_age: .* order by "at_ms" limit \?$/,
  // A partial index: one for each camera.
  /^SCAN roll_out_turns USING INDEX roll_out_turns_standing:/,
  // From an end, for one of them.
  /^SCAN roll_outs USING INDEX roll_outs_whole: .* order by "number" desc limit \?$/,
  // Bounded by MAX_QUARANTINED_ROWS.
  /^SCAN quarantine USING (COVERING )?INDEX quarantine_by_age: (select count|delete)/,
]

/** Lines of plans that walk a whole table or index, each with its statement. */
const scans = (planned: readonly Planned[]) =>
  planned
    .flatMap(({ sql, plan }) => plan.filter((line) => line.startsWith('SCAN')).map((line) => `${line}: ${sql}`))
    .filter((scan) => !SHORT.some((short) => short.test(scan)))

/** The plan of the only statement that begins with this. */
function planOf(planned: readonly Planned[], start: string): string {
  const found = planned.filter(({ sql }) => sql.startsWith(start))
  assert.is(found.length, 1, `${start}: ${JSON.stringify(planned)}`)
  return found[0]?.plan.join('\n') ?? ''
}

const TWO_WAIT = { webhookLimits: { ...WEBHOOK_LIMITS, maxWaiting: 2 } }

const withCamera = (work: (world: TestCloud, publish: () => Promise<unknown>) => Promise<void>, more: CloudDeps = {}) =>
  inCloud(
    async (world) => {
      await world.importList('stolen', [PLATE])
      const camera = await world.connectCamera(A, await world.addCamera(A))
      await work(world, () => publishSighting(camera, makeSighting(world.clock, { plate: PLATE })))
    },
    {},
    {},
    undefined,
    more,
  )

test('a plan that reads a whole table is seen as one', async () => {
  await inCloud(async (world) => {
    const { database } = world.cloud.parts
    const planned = await plansOf(world, () =>
      database.read(database.build.selectFrom('sightings').select('document').where('sighting_id', '=', 'x')),
    )
    assert.equal(scans(planned), [])
    const whole = await plansOf(world, () =>
      database.read(database.build.selectFrom('sightings').select('document').where('crop_sha256', '=', 'x')),
    )
    assert.match(scans(whole)[0] ?? '', /^SCAN sightings: select "document"/)
  })
})

test('a sighting is found by its id, with and without its camera, and its picture too', async () => {
  await withCamera(async (world) => {
    const { sightings } = world.cloud.parts
    const nowMs = world.clock.nowMs()
    const byId = await plansOf(world, () => sightings.get('x', nowMs))
    assert.match(planOf(byId, 'select'), /^SEARCH sightings USING INDEX \S+ \(sighting_id=\?\)/)
    const byBoth = await plansOf(world, () => sightings.get('x', nowMs, A))
    assert.match(planOf(byBoth, 'select'), /^SEARCH sightings USING INDEX \S+ \(sighting_id=\? AND camera_id=\?\)/)
    const crop = planOf(await plansOf(world, () => sightings.crop(A, 'x', nowMs)), 'select')
    assert.match(crop, /SEARCH crops USING INDEX \S+ \(camera_id=\? AND sighting_id=\?\)/)
    assert.match(crop, /SEARCH sightings USING INDEX \S+ \(sighting_id=\? AND camera_id=\?\)/)
  })
})

test('a search by plate walks rows by their key, one by place by their camera, and neither reads another row', async () => {
  await withCamera(async (world, publish) => {
    await publish()
    const { database, policy } = world.cloud.parts
    const nowMs = world.clock.nowMs()
    const window = { fromMs: nowMs - 60_000, toMs: nowMs + 60_000 }
    const place = { camera: A, ...window }
    const narrowed = { ...window, cameras: [A, 'oak-st-2'], jurisdiction: null, lists: ['stolen'] }
    const exact = { plate: { kind: 'exact', text: PLATE } } as const
    const pattern = (text: string) => ({ plate: { kind: 'pattern', text } }) as const
    const KEY = /^SEARCH sightings USING INDEX sightings_by_key \(confusable_key=\?/
    const CAMERA =
      /^SEARCH sightings USING INDEX sightings_by_camera \(camera_id=\? AND seen_at_ms>\? AND seen_at_ms<\?\)/
    const cases: [Partial<FindRequest>, RegExp, RegExp | null][] = [
      [exact, KEY, null],
      [{ ...exact, confusable: true }, KEY, null],
      [pattern('ABC12*'), KEY, /SEARCH plate_keys USING PRIMARY KEY \(confusable_key/],
      [pattern('*230'), KEY, /SEARCH plate_keys USING PRIMARY KEY \(confusable_key/],
      [window, CAMERA, null],
      [{ places: [place, place], placesMet: 2 }, CAMERA, null],
    ]
    for (const [change, sightings, keys] of cases) {
      for (const more of change.places === undefined && change.fromMs === undefined ? [{}, narrowed] : [{}]) {
        const request: FindRequest = { nowMs, retention: policy.retention(), ...FIND, ...change, ...more }
        const planned = await plansOf(world, async () => {
          assert.is((await find(database, request, async () => true)).found.length, 1, JSON.stringify(request))
        })
        const walked = planned.filter(({ sql }) => sql.includes('sightings.rowid'))
        assert.ok(walked.length > 0)
        for (const { sql, plan } of walked) {
          assert.match(plan.find((line) => line.includes(' sightings ')) ?? '', sightings, sql)
          if (keys !== null)
            assert.ok(
              plan.some((line) => keys.test(line)),
              `${plan.join('\n')}\n${sql}`,
            )
        }
        assert.equal(scans(planned), [])
      }
    }
  })
})

test('a camera’s past and its alarms are found by camera, by what is open, and by age', async () => {
  await inCloud(async (world) => {
    const { camera, report } = await withFleetCamera(world)
    const { fleet } = world.cloud.parts
    const planned = await plansOf(world, async () => {
      for (let i = 0; i < 3; i++) await report({ device: { temperatureC: 91 } }, HOUR_MS)
      const [alarm] = await fleet.alarms({ open: true, camera: CAMERA, limit: 10 })
      await fleet.acknowledge(alarm?.alarmId ?? '', 'seen', 'tess')
      for (const open of [true, false]) await fleet.alarms({ open, camera: null, limit: 10 })
      await fleet.alarms({ open: false, camera: CAMERA, limit: 10 })
      await fleet.history(CAMERA, 0, world.clock.nowMs())
      await fleet.cameras()
      for (const untilMs of [world.clock.nowMs() + HOUR_MS, null])
        await fleet.setMaintenance(CAMERA, untilMs, 'x', 'tess')
      await fleet.upkeep()
      await camera.endAsync()
    })
    const asked = ['fleet_reports', 'fleet_hours', 'fleet_alarms', 'fleet_maintenance']
    for (const table of asked)
      assert.ok(
        planned.some(({ sql }) => sql.includes(table)),
        table,
      )
    assert.equal(
      // Every camera is shown, with what it acknowledged: bounded by MAX_CAMERAS.
      scans(planned).filter((scan) => !LAST_AUDIT_PURGE.test(scan) && !/^SCAN (cameras|camera_acks)[: ]/.test(scan)),
      [],
    )
  })
})

test('whom to tell settings once more is found by camera, and not among the turns of all', async () => {
  await inCloud(async (world) => {
    const { rollOuts, fleet } = world.cloud.parts
    const { report } = await withFleetCamera(world)
    const what = { kind: 'settings' as const, settings: { vision: { minConfidence: 0.4 } } }
    const started = { what, cameras: [], first: [], stages: [100], reason: 'fewer wrong reads' }
    const { number } = await rollOuts.start(started, 'tess')
    const connection = openDatabase(world.databaseFile)
    const [targetId] = connection.prepare('SELECT target_id FROM roll_out_turns').pluck().all() as string[]
    connection.close()
    const late = await world.connectCamera('late', await world.addCamera('late'))
    const planned = await plansOf(world, async () => {
      const ack = { state: 'confirmed' as const, message: null, atMs: world.clock.nowMs() }
      await rollOuts.recordAck(CAMERA, { ...ack, targetId: targetId ?? '' })
      await report({ settings: { version: 0, trial: false, changed: [] } })
      const says = { ...healthOf(world.clock.nowMs(), { settings: { version: 0, trial: false, changed: [] } }) }
      await publish(late, topics.health(AGENCY, 'late'), JSON.stringify({ ...says, cameraId: 'late' }))
      await fleet.settled()
      await rollOuts.upkeep()
      await rollOuts.meant()
    })
    assert.is((await world.audited('roll_out.reopened')).length, 2)
    const asked = planned.flatMap(({ plan }) => plan).filter((line) => line.startsWith('SEARCH turn '))
    assert.equal(asked, ['SEARCH turn USING INDEX roll_out_turns_by_camera (camera_id=? AND number>?)'])
    assert.equal(scans(planned), [])
    assert.is((await rollOuts.get(number)).turns.length, 2)
  })
})

test('a claim is found by its code or camera, and a certificate by its camera, from the claim to the renewal', async () => {
  await inCloud(async (world) => {
    const { enrolment, cameras, renewals } = world.cloud.parts
    const unit = newCameraRequest('unit')
    const planned = await plansOf(world, async () => {
      const wanted = { camera: A, site: null, hours: 1, replaces: false }
      const { code } = await enrolment.claim(wanted, 'tess')
      await enrolment.ask(code, unit.csrPem, 'x')
      await enrolment.ask(code, newCameraRequest('other').csrPem, 'x')
      await enrolment.list()
      await enrolment.reject(A, 'ada')
      await enrolment.revoke(A, 'ada')
      const again = await enrolment.claim(wanted, 'tess')
      await enrolment.ask(again.code, unit.csrPem, 'x')
      await enrolment.approve(A, shortFingerprint(keyDigest(unit.keyPem)), 'ada')
      await enrolment.ask(again.code, unit.csrPem, 'x')
      const renewed = newCameraRequest('unit')
      await cameras.renew(A, renewed.csrPem, cameras.certificatesInUse()[0]?.fingerprint ?? '')
      const issued = await cameras.certificateOf(A, keyDigest(renewed.keyPem))
      await enrolment.takeOver(A, new X509Certificate(issued?.certPem ?? '').fingerprint256)
      await renewals.upkeep()
      await enrolment.upkeep()
      await enrolment.endOf(A, 'ada')
    })
    assert.ok(planned.length > 12, String(planned.length))
    assert.equal(scans(planned), [])
  })
})

test('a key comes and goes without a look at other keys', async () => {
  await inCloud(async (world) => {
    const connection = openDatabase(world.databaseFile)
    const plan = (sql: string) =>
      (connection.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as { detail: string }[]).map(({ detail }) => detail).join()
    const triggers = connection
      .prepare("SELECT sql FROM sqlite_master WHERE name LIKE 'plate\\_%' ESCAPE '\\' AND type = 'trigger'")
      .pluck()
      .all() as string[]
    const bodies = triggers.flatMap(
      (sql) =>
        /BEGIN([\s\S]*)END$/
          .exec(sql)?.[1]
          ?.split(';')
          .filter((one) => one.trim() !== '') ?? [],
    )
    assert.is(bodies.length, 2)
    for (const body of bodies) {
      assert.not.match(
        plan(body.replace(/(NEW|OLD)\.confusable_key/g, "'ABC1230'")),
        /SCAN (?!\d+-ROW|\d+ CONSTANT)/,
        body,
      )
    }
    const unseen = "SELECT 1 FROM sightings WHERE confusable_key = 'ABC1230'"
    assert.match(plan(unseen), /^SEARCH sightings USING COVERING INDEX sightings_by_key \(confusable_key=\?\)/)
    connection.close()
  })
})

test('alerts are listed, found, taken on and published without a look at the others', async () => {
  await withCamera(async (world, publish) => {
    const { alerts } = world.cloud.parts
    const groups = ['patrol', 'night']
    const by = { actor: ACTOR, account: 'ines', groups }
    const planned = await plansOf(world, async () => {
      await publish()
      for (const state of [null, 'open', ...ALERT_STATES] as const) {
        for (const beforeMs of [null, world.clock.nowMs()]) await alerts.list({ groups, state, beforeMs, limit: 50 })
      }
      const [alert] = await alerts.list({ groups, state: 'open', beforeMs: null, limit: 1 })
      const { alertId, sighting } = alert as Alert
      assert.ok(await alerts.ofSighting(sighting.cameraId, sighting.sightingId))
      await alerts.get(alertId, groups)
      await alerts.step(alertId, { step: 'image_compared', revision: 0, plateSeen: PLATE, jurisdictionSeen: null }, by)
    })
    const lists = planned.filter(({ sql }) => sql.includes(' as "page"'))
    assert.is(lists.length, 6, 'one, four or five states, with and without a time')
    for (const { sql, plan } of lists) {
      const walked = plan.filter((line) => line.includes('alert_groups'))
      // Each group and state from its own place in the index, merged in that order: nothing is gathered and sorted.
      for (const line of walked)
        assert.match(line, /COVERING INDEX alert_groups_in_order \(group_name=\? AND state=\? AND/)
      assert.is(walked.length, sql.split('"alert_groups"."state" = ?').length - 1)
      assert.is(plan.filter((line) => line === 'MERGE (UNION)').length, walked.length - 1)
    }
    assert.equal(scans(planned), [])
  })
})

test('what waits for a webhook is queued, found, postponed, counted and dropped without a look at what waits for others', async () => {
  await withCamera(async (world, publish) => {
    const { webhooks } = world.cloud.parts
    const url = new URL('http://127.0.0.1:9/')
    await eachAlone(world)
    const planned = await plansOf(world, async () => {
      await webhooks.add({ webhook: 'dispatch', url, groups: ['patrol'], includePlate: false, notices: [], by: 'ines' })
      for (const _ of [1, 2, 3]) await publish()
      await until('one more than there may be', async () => (await webhooks.list())[0]?.dropped === 1)
      await until('it was tried', async () => (await webhooks.list())[0]?.state === 'failing')
      await webhooks.test('dispatch')
      await webhooks.pause('dispatch', 'ines')
      await webhooks.resume('dispatch')
      await webhooks.remove('dispatch')
    })
    const bounded = /^SCAN webhooks: select/
    assert.equal(
      scans(planned).filter((scan) => !bounded.test(scan)),
      [],
    )
    const lines = planned.flatMap(({ plan }) => plan).filter((line) => line.includes('webhook_deliveries'))
    for (const line of lines) assert.match(line, /^SEARCH webhook_deliveries USING .*(webhook=\?|PRIMARY KEY)/)
    assert.ok(lines.some((line) => line.includes('webhook_deliveries_due (webhook=?)')))
    // An alert that is purged takes its deliveries with it: SQLite looks for them by its id.
    const connection = openDatabase(world.databaseFile)
    const [cascade] = connection
      .prepare('EXPLAIN QUERY PLAN DELETE FROM webhook_deliveries WHERE alert_id = ?')
      .all('x') as { detail: string }[]
    connection.close()
    assert.match(cascade?.detail ?? '', /SEARCH .*\(alert_id=\?\)/)
  }, TWO_WAIT)
})

test('a sighting without a match asks nothing of the alerts; one with a match finds its open alert by its entry', async () => {
  await withCamera(async (world, publish) => {
    const other = await world.connectCamera('oak-st-2', await world.addCamera('oak-st-2'))
    const see = (plate: string) =>
      publishSighting(other, makeSighting(world.clock, { cameraId: 'oak-st-2', plate, revision: 1 }))
    const unmatched = await plansOf(world, () => see('WWW9999'))
    // The upkeep of the cloud's start may not be over yet.
    const own = unmatched.filter(({ sql }) => !/"(review_\w+|usage_places|usage_searches|audit_entries)"/.test(sql))
    assert.equal(
      own.map(({ sql }) => sql.split(' ').slice(0, 3).join(' ')),
      ['select "revision", "payload_sha256",', 'insert into "sightings"', 'insert into "usage_days"'],
    )
    await publish()
    const { alerts } = world.cloud.parts
    const matched = await plansOf(world, async () => {
      await see(PLATE)
      await until('the revision is published', async () => {
        const { database } = world.cloud.parts
        const pending = database.build.selectFrom('alerts').select('alert_id')
        return (await database.read(pending.whereRef('published_revision', '<', 'revision'))).length === 0
      })
    })
    assert.is((await alerts.list({ groups: ['patrol'], state: 'open', beforeMs: null, limit: 9 }))[0]?.trail.length, 1)
    assert.equal(scans(matched), [])
    const lines = matched.flatMap(({ plan }) => plan)
    for (const wanted of [
      /^SEARCH alerts USING INDEX alerts_open_by_entry \(list=\? AND entry_id=\? AND match_kind=\? AND last_seen_at_ms>\?\)/,
      /^SEARCH alert_sightings USING INDEX alert_sightings_by_sighting \(camera_id=\? AND sighting_id=\?\)/,
      /^SEARCH alert_sightings USING INDEX alert_sightings_shown \(alert_id=\?\)/,
      /^SEARCH alert_groups USING PRIMARY KEY \(alert_id=\?\)/,
    ]) {
      assert.ok(
        lines.some((line) => wanted.test(line)),
        `${wanted}: ${JSON.stringify(lines, null, 1)}`,
      )
    }
  })
})

test('of the versions of a list those with rows, and those of which something is retained, are found by themselves', async () => {
  await withCamera(async (world) => {
    const { database, hotlists } = world.cloud.parts
    const rows = createListRows({ database, clock: world.clock, newId })
    const planned = await plansOf(world, async () => {
      await world.importList('stolen', [PLATE, 'BCD2340'])
      await hotlists.status()
      await hotlists.source('stolen', 'x')
      await rows.clearLeftovers(silentLog)
    })
    assert.equal(
      scans(planned).filter((scan) => !/^SCAN \d+-ROW VALUES CLAUSE:/.test(scan)),
      [],
    )
    const lines = planned.flatMap(({ sql, plan }) =>
      plan.filter((line) => line.includes('hotlist_versions')).map((line) => `${line}: ${sql}`),
    )
    const walks = lines.filter((line) => /PRIMARY KEY \(list=\?( AND version<\?)?\)/.test(line))
    // From their end, for a page.
    assert.equal(
      walks.filter((line) => !/order by "version" desc limit \?( offset \?)?$/.test(line)),
      [],
    )
    for (const wanted of [
      /USING (COVERING )?INDEX hotlist_versions_with_rows \(state=\? AND list=\? AND version<\?\)/,
      /USING (COVERING )?INDEX hotlist_versions_with_rows \(state=\? AND list=\?\): select \*/,
      /USING (COVERING )?INDEX hotlist_versions_with_rows \(state=\? AND list=\?( AND version=\?)?\): select "reason"/,
      /USING (COVERING )?INDEX hotlist_versions_with_rows \(state=\?\)/,
      /USING (COVERING )?INDEX hotlist_versions_retained \(list=\? AND version<\?\)/,
    ]) {
      assert.ok(
        lines.some((line) => wanted.test(line)),
        `${wanted}: ${JSON.stringify(lines, null, 1)}`,
      )
    }
  })
})

test('the audit is listed from any place, and written, by its numbers', async () => {
  await inCloud(async (world) => {
    const { audit } = world.cloud.parts
    const planned = await plansOf(world, async () => {
      await audit.append({ operation: 'search.run', outcome: 'allowed', actor: ACTOR })
      await audit.list({ before: null, limit: 50 })
      await audit.list({ before: 7, limit: 50 })
    })
    assert.is(planOf(planned, 'select "bytes"'), 'SEARCH audit_entries USING INTEGER PRIMARY KEY (rowid<?)')
    assert.equal(scans(planned), [])
  })
})

test('tiles, proofs and cosignatures are found by their place in the log', async () => {
  await inCloud(async (world) => {
    const { audit, witnesses } = world.cloud.parts
    for (let i = 0; i < 300; i++) void audit.append({ operation: 'search.run', outcome: 'allowed', actor: ACTOR })
    await audit.append({ operation: 'search.run', outcome: 'allowed', actor: ACTOR })
    const planned = await plansOf(world, async () => {
      await witnesses.checkpoint()
      await witnesses.cosigned()
      assert.ok(await witnesses.tile('0/000'))
      assert.ok(await witnesses.tile('1/000.p/1'))
      await witnesses.consistency(3, 290)
      await witnesses.proof(7)
      await witnesses.list()
    })
    assert.equal(scans(planned), [])
    const lines = planned.flatMap(({ plan }) => plan)
    for (const wanted of [
      'SEARCH audit_entries USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)',
      'SEARCH audit_nodes USING PRIMARY KEY (level=? AND position>? AND position<?)',
      'SEARCH audit_cosignatures USING PRIMARY KEY (size=?)',
    ]) {
      assert.ok(lines.includes(wanted), `${wanted}: ${JSON.stringify(lines, null, 1)}`)
    }
  })
})

test('use is counted, reviewed, published and asked for by day, person, plate and number', async () => {
  await withCamera(async (world, publish) => {
    const { parts } = world.cloud
    const planned = await plansOf(world, async () => {
      await publish()
      await parts.usage.cameras.recordStatus({
        ...{ cameraId: A, online: true, sessionId: newId(), sinceMs: world.clock.nowMs(), software: '1' },
      })
      const { search } = parts
      for (let i = 0; i < 5; i += 1) await search.run(SEARCH, ACTOR)
      await parts.usage.follow()
      await parts.usage.searchesOf(parts.audit.plateDigest(PLATE), 9)
      await readEntries(parts.database, [1, 2])
      world.clock.advance(8 * DAY_MS)
      await parts.review.upkeep()
      for (const decision of [null, 'open'] as const) await parts.review.list({ decision, limit: 9, offset: 0 })
      const [finding] = await parts.review.list({ decision: 'open', limit: 1, offset: 0 })
      await parts.review.decide(finding?.findingId ?? '', 'no_concern', '', 'rita')
      const day = Math.floor(world.clock.nowMs() / DAY_MS) - 1
      await parts.transparency.publish({ from: day - 6, to: day }, 'pat')
      await parts.transparency.list()
      await parts.transparency.file(1, 'html')
    })
    const bounded = [
      // Bounded by MAX_CAMERAS.
      /^SCAN cameras: select "camera_id", "added_at_ms", "revoked_at_ms" from "cameras"$/,
      // From an end, for one or a page of them.
      /^SCAN transparency_reports: .* order by "report_id" desc limit \?$/,
      /^SCAN policies: .* order by "version" desc limit \?$/,
      LAST_AUDIT_PURGE,
      /^SCAN review_findings USING INDEX review_findings_by_period: .* order by "from_ms" desc limit \? offset \?$/,
    ]
    assert.equal(
      scans(planned).filter((scan) => !bounded.some((one) => one.test(scan))),
      [],
    )
    const lines = planned.flatMap(({ plan }) => plan)
    for (const wanted of [
      /^SEARCH usage_days USING PRIMARY KEY \(utc_day=\?\)/,
      /^SEARCH usage_plates USING PRIMARY KEY \(plate_digest=\?\)/,
      /^SEARCH usage_plates USING COVERING INDEX usage_plates_by_seq \(seq<\?\)/,
      /^SEARCH usage_searches USING INDEX usage_searches_by_person \(who=\? AND at_ms>\? AND at_ms<\?\)/,
      /^SEARCH audit_entries USING INTEGER PRIMARY KEY \(rowid>\?\)/,
      /^SEARCH transparency_reports USING INDEX transparency_reports_by_day \(to_day>\?\)/,
      /^SEARCH review_findings USING .*INDEX review_findings_by_decision \(decision=\?/,
    ]) {
      assert.ok(
        lines.some((line) => wanted.test(line)),
        `${wanted}: ${JSON.stringify(lines, null, 1)}`,
      )
    }
  })
})

test('the queue of a session is stored, bounded, delivered and cleared without a look at those of others', async () => {
  await withCamera(async (world, publish) => {
    const token = await world.addPerson('olga', ['officer'], ['patrol'])
    const planned = await plansOf(world, async () => {
      const first = await world.connectPerson('olga', token, { clean: false })
      await subscribe(first, topics.alerts(AGENCY, 'patrol'))
      await first.endAsync()
      await publish()
      const second = await world.connectPerson('olga', token, { clean: false })
      await until('the alert has come', () => collect(second).length === 1)
      await second.endAsync()
      const third = await world.connectPerson('olga', token, { clean: true })
      await third.endAsync()
    })
    for (const start of ['select * from "broker_outgoing"', 'delete from "broker_outgoing" where "client_id"']) {
      const found = planned.filter(({ sql }) => sql.startsWith(start))
      assert.ok(found.length > 0, start)
      for (const { sql, plan } of found) {
        for (const line of plan) {
          if (line.includes('broker_outgoing'))
            assert.match(line, /^SEARCH broker_outgoing USING .*INDEX \S+ \(client_id=\?/, sql)
        }
      }
    }
    assert.equal(scans(planned), [])
  })
})

test('a shared search, its grant and its row in the record are found without a look at the others', async () => {
  await inTwoClouds(async (asker, owner) => {
    await prepare(asker, owner)
    const { sharing } = owner.cloud.parts
    const window = { fromMs: owner.clock.nowMs() - 60_000, toMs: owner.clock.nowMs() + 60_000 }
    const planned = await plansOf(owner, async () => {
      const { grantId } = await giveGrant(owner)
      assert.is((await ask(asker)).outcome, 'answered')
      await asker.cloud.parts.sharing.reconcile('springfield', window).catch(() => {})
      assert.equal((await sharing.reconcile('springfield', window)).differences, [])
      await sharing.grants.list('springfield')
      await sharing.grants.list(null)
      await sharing.grants.revoke(grantId, 'petra')
      await sharing.upkeep()
      await sharing.partners.revoke('springfield', 'petra')
    })
    assert.equal(
      scans(planned).filter(
        (scan) => !/^SCAN grants: select \* from "grants" order by "grant_id" desc limit/.test(scan),
      ),
      [],
    )
    const lines = planned.flatMap(({ plan }) => plan).filter((line) => /grants|shared_searches|partners/.test(line))
    for (const line of lines) assert.match(line, /^(SEARCH|SCAN grants$)/)
    for (const wanted of [
      /grants USING INDEX grants_by_partner \(partner=\? AND state=\?/,
      /shared_searches USING INDEX shared_searches_in_order \(partner=\? AND at_ms>\? AND at_ms<\?\)/,
      /shared_searches USING (COVERING )?INDEX shared_searches_by_age \(at_ms<\?\)/,
    ]) {
      assert.ok(
        lines.some((line) => wanted.test(line)),
        `${wanted}: ${JSON.stringify(lines, null, 1)}`,
      )
    }
  })
})

test('the purge finds what is past its retention in every table by its age', async () => {
  await inCloud(async (world) => {
    const planned = await plansOf(world, async (ran) => {
      const first = /^select .* from "sessions" where .*"used_at_ms" <=/
      const last = /^select "hold_id" from "holds" where "until_ms" <=/
      await until('one has run from its begin to its end', () => {
        // Again each time: the one at the cloud's start may not be over yet, and the pause begins behind it.
        world.clock.advance(PURGE_INTERVAL_MS)
        return [first, last].every((wanted) => [...ran.keys()].some((sql) => wanted.test(sql)))
      })
    })
    const bounds: Record<string, string> = {
      sightings: 'sightings_by_age (matched=? AND retained_from_ms<?)',
      crops: 'crops_by_age (retained_from_ms<?)',
      alerts: 'alerts_by_age (retained_from_ms<?)',
      alert_sightings: 'alert_sightings_by_age (retained_from_ms<?)',
      quarantine: 'quarantine_by_age (received_at_ms<?)',
      broker_outgoing: 'broker_outgoing_by_age (retained_from_ms<?)',
      broker_subscriptions: 'broker_subscriptions_by_age (seen_at_ms<?)',
      sessions: 'sessions_by_use (used_at_ms<?)',
      holds: 'holds_by_end (until_ms<?)',
      // Of each row that may go: is it held?
      hold_sightings: 'hold_sightings_by_sighting (sighting_id=? AND camera_id=?)',
      hold_alerts: 'hold_alerts_by_alert (alert_id=?)',
    }
    const lines = planned.flatMap(({ plan }) => plan)
    for (const [table, bound] of Object.entries(bounds)) {
      const found = lines.some((line) => line.startsWith(`SEARCH ${table} `) && line.endsWith(bound))
      assert.ok(found, `${table}: ${JSON.stringify(lines, null, 1)}`)
    }
    assert.equal(
      scans(planned).filter((scan) => !LAST_AUDIT_PURGE.test(scan)),
      [],
    )
  })
})

test('versions of the policy and proposals are found by number, and those that wait by their version', async () => {
  await inCloud(async (world) => {
    const { policy } = world.cloud.parts
    await policy.change(1, { secondPerson: true }, 'ada')
    const planned = await plansOf(world, async () => {
      const { number } = await policy.propose(2, { retention: { cropDays: 1 } }, 'ada', null)
      await policy.proposals(10)
      await policy.approve(number, 'bob')
      await policy.history(10)
      await policy.version(1)
    })
    assert.equal(scans(planned), [])
    assert.ok(planned.some(({ plan }) => plan.join().includes('policy_proposals_waiting')))
  })
})

test.run()
