/** Lines of a list file, counted in its bytes: `\r\n`, `\n` and `\r` each end one. Used by csv.ts and fixed-width.ts. */

const LF = 10
const CR = 13

/** A row of the file, taken apart. */
export interface FileRecord {
  record: readonly string[]
  /** Its first line, from 1. */
  line: number
  /** Bytes of the file up to its end. */
  end: number
  /** The whole line, or the first field of a delimited one: what a trailer is known by. */
  text: string
}

/** Why a file cannot be used, found while it is being read. */
export class UnusableFile extends Error {
  readonly line: number

  constructor(problem: string, line: number) {
    super(problem)
    this.line = line
  }
}

/** Where the line after `count` lines begins. */
export function offsetAfterLines(bytes: Uint8Array, count: number): number {
  let at = 0
  for (let line = 0; line < count && at < bytes.length; at++) {
    if (bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] !== LF)) line += 1
  }
  return at
}

/** Begin and end of each line, without what ends it; `next` is where the following one begins. */
export function* linesOf(bytes: Uint8Array): Generator<{ from: number; to: number; next: number }> {
  let from = 0
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte !== LF && byte !== CR) continue
    const next = byte === CR && bytes[at + 1] === LF ? at + 2 : at + 1
    yield { from, to: at, next }
    from = next
    at = next - 1
  }
  if (from < bytes.length) yield { from, to: bytes.length, next: bytes.length }
}

/** The lines on which records begin, the first of them on `line`: csv-parse counts a CRLF inside quotes as two. */
export function createLineCount(bytes: Uint8Array, line: number) {
  let at = 0
  let reached = line
  const step = () => {
    const byte = bytes[at]
    if (byte === LF || (byte === CR && bytes[at + 1] !== LF)) reached += 1
    at += 1
  }
  return {
    /** First line of the record that ends before byte `end`: after what is left of the last line's end, and after empty lines. */
    pass(end: number): number {
      while (at < bytes.length && (bytes[at] === LF || bytes[at] === CR)) step()
      const first = reached
      while (at < end) step()
      return first
    },
  }
}
