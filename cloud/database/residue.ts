/**
 * What SQLite leaves behind of deleted rows although secure_delete is on: when it distributes rows anew over neighbouring pages, copies
 * of those that moved away stay in the gap between a page's cell pointers and its cells, and outlive the rows themselves (measured: of 3,500
 * deleted rows up to 7). A sweep finds such gaps in the file and fills them with zeros; SQLite takes no notice of what is in them
 * [sqlite.org/fileformat2.html, 1.6]. Called by sqlite.ts.
 *
 * Zeros are written past SQLite, so each step makes sure that the file is all there is (the log is empty), that nobody can write
 * (the write lock is held), and that the page cache forgets its copies. As SQLite's own log does, it relies on a disk that at a power cut
 * leaves the bytes beside a write alone [sqlite.org/psow.html].
 */
import { readSync, statSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { AppError, systemCode } from '../../shared/errors.ts'
import { BUSY_TIMEOUT_MS, type SqliteDatabase } from '../../shared/sqlite.ts'

/** Read at once, without the lock; about a millisecond to look through. */
const SCAN_BYTES = 1024 * 1024
/** Pages filled with zeros under one lock; about 10 ms. */
export const PAGES_PER_LOCK = 1_000
/** A larger file may have overflow pages that look like others: a page's first byte is then part of a page number. 128 GiB at 4 KiB. */
export const MAX_SWEPT_PAGES = 0x0200_0000

/** Bytes of the header, by the type of a page of rows or keys [sqlite.org/fileformat2.html, 1.6]. */
const HEADER_BYTES: Readonly<Record<number, number>> = { 2: 12, 5: 12, 10: 8, 13: 8 }

/** The gap of a page, offsets within it; null: a page of another kind, or none that makes sense. */
export function gapOf(
  page: Uint8Array,
  isFirst: boolean,
  usableBytes = page.length,
): [from: number, to: number] | null {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength)
  const start = isFirst ? 100 : 0
  const header = HEADER_BYTES[page[start] ?? 0]
  if (header === undefined) return null
  const cells = view.getUint16(start + 3)
  const from = start + header + 2 * cells
  // 0 stands for 65,536.
  const to = view.getUint16(start + 5) || 65_536
  if (to > usableBytes || from > to) return null
  for (let i = 0; i < cells; i += 1) {
    const cell = view.getUint16(start + header + 2 * i)
    if (cell < to || cell >= usableBytes) return null
  }
  return [from, to]
}

export interface Residue {
  /** Returns how many pages it cleaned. Throws `unavailable` while a reader holds the log, `too_large` for a file beyond MAX_SWEPT_PAGES. */
  sweep(signal: AbortSignal): Promise<{ pages: number }>
  /** After the connection is closed, not before: closing any handle of the file drops the process's locks on it [fcntl(2)]. */
  close(): Promise<void>
}

export function createResidue(connection: SqliteDatabase, path: string): Residue {
  let file: FileHandle | null = null
  const pageBytes = Number(connection.pragma('page_size', { simple: true }))

  /** Calls `work` while the file holds everything and nobody writes. */
  function exclusively(work: () => void): void {
    try {
      connection.pragma('busy_timeout = 0')
      const [checkpoint] = connection.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
      if (checkpoint?.busy !== 0) throw held()
      connection.exec('BEGIN IMMEDIATE')
      try {
        // A command on the host may have written in between.
        if (statSync(`${path}-wal`).size > 0) throw held()
        work()
      } finally {
        connection.exec('ROLLBACK')
      }
      connection.pragma('shrink_memory')
    } finally {
      connection.pragma(`busy_timeout = ${BUSY_TIMEOUT_MS}`)
    }
  }

  function clean(fd: number, numbers: readonly number[]): number {
    const page = Buffer.alloc(pageBytes)
    let cleaned = 0
    for (const number of numbers) {
      const offset = number * pageBytes
      if (readSync(fd, page, 0, pageBytes, offset) < pageBytes) continue
      const gap = gapOf(page, number === 0)
      if (gap === null || isZero(page.subarray(...gap))) continue
      writeSync(fd, Buffer.alloc(gap[1] - gap[0]), 0, gap[1] - gap[0], offset + gap[0])
      cleaned += 1
    }
    return cleaned
  }

  return {
    async sweep(signal) {
      file ??= await open(path, 'r+')
      const { fd } = file
      let cleaned = 0
      let found: number[] = []
      const cleanFound = () => {
        for (; found.length > 0; found = found.slice(PAGES_PER_LOCK)) {
          exclusively(() => {
            cleaned += clean(fd, found.slice(0, PAGES_PER_LOCK))
          })
        }
      }
      try {
        // What is still in the log is looked at too.
        exclusively(() => {})
        const pages = Math.floor((await file.stat()).size / pageBytes)
        if (pages > MAX_SWEPT_PAGES) throw new AppError('too_large', `a database of more than ${MAX_SWEPT_PAGES} pages`)
        const chunk = Buffer.alloc(SCAN_BYTES)
        for (let first = 0; first < pages && !signal.aborted; first += SCAN_BYTES / pageBytes) {
          const { bytesRead } = await file.read(chunk, 0, SCAN_BYTES, first * pageBytes)
          for (let at = 0; at + pageBytes <= bytesRead; at += pageBytes) {
            const page = chunk.subarray(at, at + pageBytes)
            const number = first + at / pageBytes
            const gap = gapOf(page, number === 0)
            if (gap !== null && !isZero(page.subarray(...gap))) found.push(number)
          }
          if (found.length >= PAGES_PER_LOCK) cleanFound()
        }
        if (!signal.aborted) cleanFound()
        if (cleaned > 0) await file.datasync()
      } catch (thrown) {
        if (systemCode(thrown)?.startsWith('SQLITE_BUSY') === true) throw held()
        throw thrown
      }
      return { pages: cleaned }
    },
    async close() {
      await file?.close()
      file = null
    },
  }
}

const held = () => new AppError('unavailable', 'a reader holds the write-ahead log')

const ZEROS = Buffer.alloc(65_536)
const isZero = (bytes: Uint8Array) => ZEROS.compare(bytes, 0, bytes.length, 0, bytes.length) === 0
