/** What commands take as values of options; anything else is a usage error, told before anything is done. */
import { CommanderError, InvalidArgumentError } from 'commander'

/** For commander's options: a whole number from `least` to `most`; anything else is a usage error. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const number = Number(text)
    if (/^\d+$/.test(text) && number >= least && number <= most) return number
    const range = most === Number.MAX_SAFE_INTEGER ? `from ${least} on` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`a whole number ${range} is needed.`)
  }
}

/** For an option that may be given several times. */
export function collect(text: string, before: readonly string[]): string[] {
  return [...before, text]
}

/** A number above 0. */
export function positiveNumber(text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isFinite(number) && number > 0) return number
  throw new InvalidArgumentError('a number above 0 is needed.')
}

/** A time with its zone, or a date (UTC), in ms; at the `end` a date means the midnight after it. */
export function timeAt(edge: 'start' | 'end'): (text: string) => number {
  return (text) => {
    const day = /^\d{4}-\d{2}-\d{2}$/.test(text)
    const ms = Date.parse(day ? `${text}T00:00:00Z` : text)
    if (!Number.isFinite(ms) || (!day && !/(Z|[+-]\d{2}:?\d{2})$/i.test(text)))
      throw new InvalidArgumentError(
        'a date or a time with its zone is needed, such as 2026-01-31 or 2026-01-31T08:00:00Z.',
      )
    return day && edge === 'end' ? ms + 86_400_000 : ms
  }
}

/** For what commander cannot see by itself. */
export function usageError(text: string): CommanderError {
  process.stderr.write(`error: ${text}\n`)
  return new CommanderError(2, 'candor.usage', text)
}

/** What the command line says of a camera that is being made, as fields of its edge.json. */
export const chosenSettings = ({ broker, frames }: { broker?: string; frames: string }) => ({
  source: { kind: 'replay', path: frames },
  ...(broker === undefined ? {} : { broker: { url: broker } }),
})
