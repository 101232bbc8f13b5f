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
  readonly #gone: Promise<void>
  /** How the process ended; null while it lives. */
  #ended: string | null = null
  /**
   * Who waits for an answer. Settled from here by each that can end the wait: in a race with a promise that lives as long as the process, that
   * promise would hold every answer, a picture each, until then.
   */
  #waiting: { answered(answer: Answer | Failed): void; failed(error: AppError): void } | null = null

  /** `module`: see startChild. What the process's libraries say of a broken camera or file is told by an error of ours instead. */
  constructor(module: URL, clock: Clock, faults: ChildFaults) {
    this.#clock = clock
    this.#faults = faults
    this.#child = startChild(module, { errors: 'ignore' })
    this.#child.on('message', (answer) => this.#waiting?.answered(answer as Answer | Failed))
    this.#gone = new Promise((resolve) => {
      const end = (how: string) => {
        this.#ended ??= how
        this.#waiting?.failed(faults.died(this.#ended))
        resolve()
      }
      this.#child.once('exit', (code, signal) => end(signal ?? `exit ${code}`))
      this.#child.once('error', (error) => end(error.message))
    })
  }

  /** One at a time. Throws what the process says of it, or what `faults` make of its end; without a limit it may take for ever. */
  async ask(request: Request, limitMs: number | null): Promise<Answer> {
    if (this.#ended !== null) throw this.#faults.died(this.#ended)
    const timer = new AbortController()
    try {
      const answer = await new Promise<Answer | Failed>((answered, failed) => {
        this.#waiting = { answered, failed }
        if (limitMs !== null) {
          const late = () => {
            this.#child.kill('SIGKILL')
            failed(this.#faults.late(limitMs))
          }
          this.#clock.sleep(limitMs, timer.signal).then(late, () => {})
        }
        // A process that is ending says so by `exit`; without a callback the send would throw into nobody's hands.
        this.#child.send(request, () => {})
      })
      if (isFailed(answer)) throw new AppError(answer.code, answer.message)
      return answer
    } finally {
      this.#waiting = null
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
