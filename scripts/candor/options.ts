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

/** A number above 0. */
export function positiveNumber(text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && Number.isFinite(number) && number > 0) return number
  throw new InvalidArgumentError('a number above 0 is needed.')
}

/** For what commander cannot see by itself. */
export function usageError(text: string): CommanderError {
  process.stderr.write(`error: ${text}\n`)
  return new CommanderError(2, 'candor.usage', text)
}
