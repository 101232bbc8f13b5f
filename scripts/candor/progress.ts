/** How far a long command is, on stderr: a bar on a terminal; elsewhere, for a log, a line every few seconds once it has lasted. */
import { SingleBar } from 'cli-progress'
import type { Clock } from '../../shared/clock.ts'

/** Without a terminal nothing is said of what is over before. */
export const QUIET_MS = 2_000
export const LINE_EVERY_MS = 5_000

export interface Progress {
  /** `total` 0: not known. `note`: what is counted, for people. */
  show(phase: string, done: number, total: number, note?: string): void
  /** Leaves the line to what comes next. */
  stop(): void
}

export function createProgress(stream: NodeJS.WritableStream & { isTTY?: boolean }, clock: Clock): Progress {
  return stream.isTTY === true ? createBar(stream) : createLines(stream, clock)
}

function createBar(stream: NodeJS.WritableStream): Progress {
  const bar = new SingleBar({
    ...{ format: '{phase} {bar} {percentage}% {note}', barsize: 24, stream, clearOnComplete: true },
  })
  let isStarted = false
  // Lines that are cut at the edge are cut until the bar stops. The package's own way to see to that swallows Ctrl-C.
  const interrupted = () => {
    bar.stop()
    process.kill(process.pid, 'SIGINT')
  }
  return {
    show(phase, done, total, note = '') {
      const shown = { phase: phase.padEnd(22), note }
      if (!isStarted) {
        process.once('SIGINT', interrupted)
        bar.start(Math.max(1, total), done, shown)
      }
      isStarted = true
      bar.setTotal(Math.max(1, total))
      bar.update(done, shown)
    },
    stop() {
      if (isStarted) bar.stop()
      isStarted = false
      process.off('SIGINT', interrupted)
    },
  }
}

function createLines(stream: NodeJS.WritableStream, clock: Clock): Progress {
  let startedMs: number | null = null
  let saidMs = Number.NEGATIVE_INFINITY
  return {
    show(phase, done, total, note = '') {
      const nowMs = clock.monotonicMs()
      startedMs ??= nowMs
      if (nowMs - startedMs < QUIET_MS || nowMs - saidMs < LINE_EVERY_MS) return
      saidMs = nowMs
      const share = total > 0 ? ` ${Math.min(100, Math.floor((100 * done) / total))}%` : ''
      stream.write(`${phase}${share}${note === '' ? '' : ` (${note})`}\n`)
    },
    stop() {},
  }
}
