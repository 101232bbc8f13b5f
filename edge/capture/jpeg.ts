/**
 * Where one JPEG begins and ends, marker by marker [ITU-T T.81, B.1.1]: cuts a pipe of pictures into whole ones, and says of one
 * picture whether its end is there. A look at the frame around the picture, not at what is drawn: only decoding shows that.
 */

const FILL = 0xff
const SOI = 0xd8
const EOI = 0xd9
const SOS = 0xda
/** After 0xFF in drawn data: a stuffed byte, and the restart markers. */
const isDrawn = (byte: number) => byte === 0 || (byte >= 0xd0 && byte <= 0xd7)
/** Markers that stand alone: TEM and restarts. */
const standsAlone = (marker: number) => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)

/** What a walk found: it needs more bytes, `at` is behind the end marker, or `at` is where this is a picture no longer. */
type Found = { kind: 'more' } | { kind: 'whole' | 'broken'; at: number }

/** A walk from one start marker on. It goes on where it stopped when there are more bytes. */
class Walk {
  /** Behind the start marker, so that the next thing is a marker. */
  #at = 2
  #inDrawing = false

  on(bytes: Buffer): Found {
    for (;;) {
      if (this.#inDrawing) {
        // Whatever the drawing holds, 0xFF in it is followed by a stuffed zero, or begins a marker.
        const mark = bytes.indexOf(FILL, this.#at)
        if (mark < 0) {
          this.#at = bytes.length
          return { kind: 'more' }
        }
        this.#at = mark
        const next = bytes[mark + 1]
        if (next === undefined) return { kind: 'more' }
        if (isDrawn(next)) {
          this.#at = mark + 2
          continue
        }
        this.#inDrawing = false
      }
      const first = bytes[this.#at]
      const marker = bytes[this.#at + 1]
      if (first !== undefined && first !== FILL) return { kind: 'broken', at: this.#at }
      if (marker === undefined) return { kind: 'more' }
      if (marker === FILL) this.#at += 1
      else if (marker === EOI) return { kind: 'whole', at: this.#at + 2 }
      // The next picture begins before this one ended.
      else if (marker === SOI || marker === 0) return { kind: 'broken', at: this.#at }
      else if (standsAlone(marker)) this.#at += 2
      else {
        if (bytes.length < this.#at + 4) return { kind: 'more' }
        const length = bytes.readUInt16BE(this.#at + 2)
        if (length < 2) return { kind: 'broken', at: this.#at + 2 }
        // Passed over unseen: a segment may hold a small picture with an end marker of its own.
        if (bytes.length < this.#at + 2 + length) return { kind: 'more' }
        this.#at += 2 + length
        this.#inDrawing = marker === SOS
      }
    }
  }
}

const STARTS = Buffer.from([FILL, SOI, FILL])

export interface JpegSplitter {
  /** The pictures that are whole with these bytes; they are copies, which belong to the caller. */
  feed(bytes: Buffer): Buffer[]
  /** Pictures that broke off, were none inside, or were longer than the limit. */
  readonly rejected: number
}

/** Cuts a stream of pictures, with anything between them, into whole ones of at most `maxBytes`; holds no more than that and one chunk. */
export function createJpegSplitter(maxBytes: number): JpegSplitter {
  let held: Buffer = Buffer.alloc(0)
  let walk: Walk | null = null
  let rejected = 0

  /** Goes on at `at`; what lay before is done with. */
  const passOver = (at: number) => {
    held = held.subarray(at)
    walk = null
  }

  return {
    get rejected() {
      return rejected
    },
    feed(bytes) {
      held = held.length === 0 ? Buffer.from(bytes) : Buffer.concat([held, bytes])
      const whole: Buffer[] = []
      for (;;) {
        if (walk === null) {
          const start = held.indexOf(STARTS)
          // The start may be cut by the end of what is there.
          passOver(start < 0 ? Math.max(0, held.length - STARTS.length + 1) : start)
          if (start < 0) return whole
          walk = new Walk()
        }
        const found = walk.on(held)
        if (found.kind === 'more') {
          if (held.length <= maxBytes) return whole
          rejected += 1
          passOver(held.length)
        } else {
          if (found.kind === 'whole' && found.at <= maxBytes) whole.push(Buffer.from(held.subarray(0, found.at)))
          else rejected += 1
          passOver(found.at)
        }
      }
    },
  }
}

/** `bytes` up to the end marker of the picture that they begin with; null when there is none: it broke off, or is no JPEG. */
export function wholeJpeg(bytes: Buffer): Buffer | null {
  if (!bytes.subarray(0, STARTS.length).equals(STARTS)) return null
  const found = new Walk().on(bytes)
  return found.kind === 'whole' ? bytes.subarray(0, found.at) : null
}
