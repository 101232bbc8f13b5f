/** Times of searches as the cloud runs them: in its worker thread, asked over its door; and of the peers on the same file. */
import { rmSync } from 'node:fs'
import { openSqlite } from '../../../cloud/database/sqlite.ts'
import type { FindRequest } from '../../../cloud/search/find.ts'
import { openFinder } from '../../../cloud/search/finder.ts'
import { toLike } from '../../../cloud/search/patterns.ts'
import { MAX_SEARCH_MATCHES, MAX_SEARCH_MS } from '../../../cloud/search/request.ts'
import { createSightings, type Retention } from '../../../cloud/sightings.ts'
import { DAY_MS, systemClock } from '../../../shared/clock.ts'
import { createLog } from '../../../shared/log.ts'
import { openDatabase } from '../../../shared/sqlite.ts'
import { quantile } from '../statistics.ts'
import { CITY_DAYS, cityRows, vehiclesOf } from './city.ts'
import type { Kind, Query } from './queries.ts'

const RETENTION: Retention = {
  ...{
    unmatchedMs: (CITY_DAYS + 1) * DAY_MS,
    matchedMs: (CITY_DAYS + 1) * DAY_MS,
    cropMs: DAY_MS,
    quarantineMs: DAY_MS,
  },
}
/** A peer reads all rows: fewer queries are enough. */
const PEER_QUERIES = 10
const INGESTED = 20_000
const BATCH = 500

export interface KindScore {
  kind: string
  queries: number
  /** First time asked, by a worker that has just been started; milliseconds, median and 95th percentile. */
  coldMs: [number, number]
  /** The same queries once more. */
  warmMs: [number, number]
  /** Sightings found, median. */
  found: number
  truncated: number
}

const ends = (times: readonly number[]): [number, number] => [quantile(times, 0.5), quantile(times, 0.95)]

export async function measureKinds(path: string, endMs: number, kinds: readonly Kind[]): Promise<KindScore[]> {
  const log = createLog({ level: 'error', part: 'bench' })
  const scores: KindScore[] = []
  for (const { name, queries } of kinds) {
    // A thread and connection of their own, so that no kind finds the pages that another has read.
    const finder = openFinder({ databaseFile: path, clock: systemClock, log })
    try {
      const request = (query: Query): FindRequest => ({
        ...{
          nowMs: endMs,
          retention: RETENTION,
          plate: null,
          confusable: false,
          fromMs: null,
          toMs: null,
          cameras: [],
        },
        ...{ lists: [], jurisdiction: null, colour: null, places: [], placesMet: 0 },
        ...{ limit: MAX_SEARCH_MATCHES, limitMs: MAX_SEARCH_MS },
        ...query,
      })
      // The start of the thread is paid once, by the first search after the cloud's start.
      await finder.find(request({ plate: { kind: 'exact', text: 'NONE' } }))
      const rounds: number[][] = []
      const found: number[] = []
      let truncated = 0
      for (const round of [0, 1]) {
        const times: number[] = []
        for (const query of queries) {
          const fromMs = performance.now()
          const all = await finder.find(request(query))
          times.push(performance.now() - fromMs)
          if (round > 0) continue
          found.push(all.found.length)
          if (all.truncated) truncated += 1
        }
        rounds.push(times)
      }
      const [cold = [], warm = []] = rounds
      scores.push({
        ...{ kind: name, queries: queries.length, coldMs: ends(cold), warmMs: ends(warm) },
        ...{ found: quantile(found, 0.5), truncated },
      })
    } finally {
      await finder.close()
    }
  }
  return scores
}

export interface PeerScore {
  kind: string
  /** LIKE over the index of keys, as this project searched before; milliseconds, median. */
  likeMs: number
  /** FTS5's trigram tokenizer over the plates of all sightings; null: it cannot narrow that pattern. */
  trigramMs: number | null
}

/** What the obvious ways would take on the same rows. The trigram index is made in a file of its own, and removed. */
export function measurePeers(
  path: string,
  kinds: readonly Kind[],
  say: (text: string) => void,
): { scores: PeerScore[]; trigramBytes: number } {
  const peerPath = `${path}.fts`
  rmSync(peerPath, { force: true })
  const connection = openDatabase(peerPath)
  try {
    connection.pragma('synchronous = OFF')
    connection.exec(`ATTACH '${path.replaceAll("'", "''")}' AS city`)
    say('FTS5 trigram index over all sightings, the peer')
    connection.exec("CREATE VIRTUAL TABLE plates USING fts5(plate, content='', detail=none, tokenize='trigram')")
    connection.exec('INSERT INTO plates (rowid, plate) SELECT rowid, plate FROM city.sightings WHERE plate IS NOT NULL')
    const like = connection.prepare(
      `SELECT rowid, seen_at_ms FROM city.sightings INDEXED BY sightings_by_key WHERE plate LIKE ? LIMIT ${MAX_SEARCH_MATCHES + 1}`,
    )
    const trigram = connection.prepare(
      `SELECT s.rowid, s.seen_at_ms, s.plate FROM plates JOIN city.sightings s ON s.rowid = plates.rowid
       WHERE plates MATCH ? AND s.plate LIKE ? LIMIT ${MAX_SEARCH_MATCHES + 1}`,
    )
    const timed = (work: () => unknown) => {
      const fromMs = performance.now()
      work()
      return performance.now() - fromMs
    }
    const scores = kinds
      .filter(({ queries }) => queries[0]?.plate?.kind === 'pattern' && queries[0].confusable !== true)
      .map(({ name, queries }): PeerScore => {
        const texts = queries.slice(0, PEER_QUERIES).map(({ plate }) => plate?.text ?? '')
        const likes = texts.map((text) => timed(() => like.all(toLike(text))))
        const parts = texts.map((text) => [text, text.split(/[*?]+/).find((part) => part.length === 3) ?? ''] as const)
        const trigrams = parts.flatMap(([text, part]) =>
          part === '' ? [] : [timed(() => trigram.all(`"${part}"`, toLike(text)))],
        )
        return {
          ...{ kind: name, likeMs: quantile(likes, 0.5) },
          trigramMs: trigrams.length === 0 ? null : quantile(trigrams, 0.5),
        }
      })
    const pages = Number(connection.pragma('main.page_count', { simple: true }))
    return { scores, trigramBytes: pages * Number(connection.pragma('main.page_size', { simple: true })) }
  } finally {
    connection.close()
    for (const ending of ['', '-wal', '-shm']) rmSync(peerPath + ending, { force: true })
  }
}

export interface SizeScore {
  name: string
  bytes: number
}

export function sizesOf(path: string): SizeScore[] {
  const connection = openDatabase(path, { readonly: true })
  try {
    const named = connection
      .prepare(
        "SELECT name, sum(pgsize) AS bytes FROM dbstat WHERE aggregate = 0 AND name GLOB '*[a-z]*' GROUP BY name",
      )
      .all() as SizeScore[]
    return named
      .filter(({ name }) => /sightings|plate_/.test(name) && !/alert/.test(name))
      .sort((a, b) => b.bytes - a.bytes)
  } finally {
    connection.close()
  }
}

/**
 * Processor time to store the same city's next sightings, microseconds a row, with the indexes of searches and without. It is the commit
 * of batches as ingest makes them; wall time would tell of whoever else uses the disk.
 */
export async function measureIngest(
  path: string,
  city: { rows: number; endMs: number },
  withSearch: boolean,
): Promise<number> {
  const days = (CITY_DAYS * INGESTED) / city.rows
  const endMs = city.endMs + days * DAY_MS
  if (!withSearch) {
    const connection = openDatabase(path)
    for (const name of ['plate_key_seen', 'plate_key_unseen']) connection.exec(`DROP TRIGGER ${name}`)
    connection.exec(`DROP INDEX sightings_by_camera; DROP INDEX sightings_by_key;
      CREATE INDEX sightings_by_key ON sightings (confusable_key, seen_at_ms);`)
    connection.close()
  }
  const database = openSqlite({ path, nowMs: endMs })
  const { insert } = createSightings({ database, retention: () => RETENTION })
  try {
    const rows = [
      ...cityRows(INGESTED, endMs, { vehicles: vehiclesOf(city.rows), days, seed: withSearch ? 11 : 12 }),
    ].map((row) =>
      insert({
        ...{ camera_id: row.cameraId, sighting_id: row.sightingId, revision: row.revision },
        ...{ payload_sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
        ...{ seen_at_ms: row.seenAtMs, received_at_ms: row.receivedAtMs, retained_from_ms: row.seenAtMs },
        ...{ clock_trusted: row.clockTrusted, plate: row.plate, confusable_key: row.confusableKey },
        ...{ matched: row.matched, match_disagreed: 0, crop_sha256: null, document: row.document },
      }),
    )
    const from = process.cpuUsage()
    for (let at = 0; at < rows.length; at += BATCH) await database.writeBatch(rows.slice(at, at + BATCH))
    const { user, system } = process.cpuUsage(from)
    return (user + system) / rows.length
  } finally {
    await database.close()
  }
}
