/**
 * A process of ours that a source asks one thing at a time, and that is killed when it does not answer: what decodes or talks to a
 * camera can hang or crash. Used by video, gphoto2 and stream, each with a child of its own.
 */
import type { ChildProcess } from 'node:child_process'
import type { Clock } from '../../shared/clock.ts'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { startChild } from '../vision/start-child.ts'

/** What every such process may answer. */
export interface Failed {
  kind: 'failed'
  code: ErrorCode
  message: string
}

/** What it means here that the process ended (`how`: its signal or exit code), or gave no answer for so long. */
export interface ChildFaults {
  died(how: string): AppError
  late(limitMs: number): AppError
}

export class CaptureChild<Request extends object, Answer extends { kind: string }> {
  readonly #clock: Clock
  readonly #faults: ChildFaults
  readonly #child: ChildProcess
  readonly #gone: Promise<string>

  /** `module`: see startChild. What the process's libraries say of a broken camera or file is told by an error of ours instead. */
  constructor(module: URL, clock: Clock, faults: ChildFaults) {
    this.#clock = clock
    this.#faults = faults
    this.#child = startChild(module, { errors: 'ignore' })
    this.#gone = new Promise((resolve) => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`))
      this.#child.once('error', (error) => resolve(error.message))
    })
  }

  /** One at a time. Throws what the process says of it, or what `faults` make of its end; without a limit it may take for ever. */
  async ask(request: Request, limitMs: number | null): Promise<Answer> {
    const timer = new AbortController()
    try {
      const answered = new Promise<Answer | Failed>((resolve) => this.#child.once('message', resolve))
      // Rejected by `exit` below; without a callback the send would throw into nobody's hands.
      this.#child.send(request, () => {})
      const died = this.#gone.then((how): never => {
        throw this.#faults.died(how)
      })
      died.catch(() => {})
      const waits: Promise<Answer | Failed>[] = [answered, died]
      if (limitMs !== null) {
        const late = this.#clock.sleep(limitMs, timer.signal).then((): never => {
          this.#child.kill('SIGKILL')
          throw this.#faults.late(limitMs)
        })
        late.catch(() => {})
        waits.push(late)
      }
      const answer = await Promise.race(waits)
      if (isFailed(answer)) throw new AppError(answer.code, answer.message)
      return answer
    } finally {
      timer.abort()
    }
  }

  /** SIGKILL: a library that waits for a camera hears no other signal. */
  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL')
    await this.#gone
  }
}

const isFailed = (answer: { kind: string }): answer is Failed => answer.kind === 'failed'
