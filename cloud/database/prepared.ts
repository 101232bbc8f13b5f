/** Keeps prepared statements, so that a shape that comes again is not compiled again, in bounded memory. Used by sqlite.ts. */

/** Statements kept; the program has well under a hundred shapes, searches make a few more. */
export const MAX_PREPARED = 500
/** A statement with more parameters has a list in it, of a length that differs each time, and takes up to megabytes. */
export const MAX_PARAMETERS_OF_SMALL = 100
/** Of those, such as a batch of rows of a hotlist, only so many are kept. */
export const MAX_PREPARED_LARGE = 4

export function keepPrepared<S>(prepare: (sql: string) => S): (sql: string, parameterCount: number) => S {
  const small = new Map<string, S>()
  const large = new Map<string, S>()

  return (sql, parameterCount) => {
    const [kept, most] =
      parameterCount > MAX_PARAMETERS_OF_SMALL
        ? ([large, MAX_PREPARED_LARGE] as const)
        : ([small, MAX_PREPARED] as const)
    const known = kept.get(sql)
    if (known !== undefined) return known
    if (kept.size >= most) {
      // The first key is the oldest: what is used all the time comes back at once.
      const oldest = kept.keys().next().value
      if (oldest !== undefined) kept.delete(oldest)
    }
    const statement = prepare(sql)
    kept.set(sql, statement)
    return statement
  }
}
