/** The one-slot buffer between a source and the pipeline: the newest value wins, and nothing can grow. */

export interface Newest<T> {
  /** True when a value that nobody had taken was replaced. */
  put(value: T): boolean
  /** The value, as soon as there is one; null after `end`. Throws what `fail` was given. One caller at a time. */
  take(): Promise<T | null>
  /** No more values; one that waits can still be taken. */
  end(): void
  fail(error: unknown): void
}

export function createNewest<T>(): Newest<T> {
  let waiting: { value: T } | null = null
  let ended: { error: unknown } | null = null
  let wake = (): void => {}
  return {
    put(value) {
      const replaced = waiting !== null
      waiting = { value }
      wake()
      return replaced
    },
    async take() {
      for (;;) {
        if (waiting !== null) {
          const { value } = waiting
          waiting = null
          return value
        }
        if (ended !== null) {
          if (ended.error !== null) throw ended.error
          return null
        }
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
    end() {
      ended ??= { error: null }
      wake()
    },
    fail(error) {
      ended ??= { error }
      wake()
    },
  }
}
