/** Lengths of time and lists in words, for whoever reads the policy. Pure. Called by rules.ts and diff.ts. */

const plural = (count: number, one: string) => `${count.toLocaleString('en-GB')} ${one}${count === 1 ? '' : 's'}`
const HOURS = 24
const MINUTES = 24 * 60
const YEAR_DAYS = 365

/** `3 minutes`, `36 hours`, `21 days`, `1,096 days (3 years)`. */
export function inDays(days: number): string {
  const exact = (count: number) => Math.round(count * 100) / 100
  if (days < 1 / HOURS) return plural(exact(days * MINUTES), 'minute')
  if (days < 1) return plural(exact(days * HOURS), 'hour')
  const years = Math.round(days / YEAR_DAYS)
  const isYears = years >= 1 && Math.abs(days - years * YEAR_DAYS) <= Math.ceil(years / 4)
  return `${plural(exact(days), 'day')}${isYears ? ` (${plural(years, 'year')})` : ''}`
}

export function inHours(hours: number): string {
  return hours % HOURS === 0 && hours > 0 ? inDays(hours / HOURS) : plural(hours, 'hour')
}

/** `a`, `a and b`, `a, b and c`; where one has a comma itself, `a; b, c; and d`. */
export function inWords(parts: readonly string[], joint = 'and'): string {
  const last = parts.at(-1)
  if (last === undefined) return 'none'
  if (parts.length === 1) return last
  const isLong = parts.some((part) => part.includes(','))
  return isLong
    ? `${parts.slice(0, -1).join('; ')}; ${joint} ${last}`
    : `${parts.slice(0, -1).join(', ')} ${joint} ${last}`
}
