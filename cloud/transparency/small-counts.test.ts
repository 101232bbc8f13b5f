import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { isSmall, pooled, protect } from './small-counts.ts'

/** Every table of so many cells with counts up to `most`. */
function* tables(cells: number, most: number): Generator<number[]> {
  if (cells === 0) {
    yield []
    return
  }
  for (const rest of tables(cells - 1, most)) for (let count = 0; count <= most; count += 1) yield [...rest, count]
}

test('whoever knows a published table, and the rules by which it was made, learns no small count and excludes none', () => {
  for (const [bound, cells, most] of [
    [3, 2, 14],
    [3, 3, 11],
    [4, 3, 14],
    [3, 4, 7],
    [5, 2, 24],
  ] as const) {
    // All tables that are published alike are what a reader cannot tell apart.
    const alike = new Map<string, number[][]>()
    for (const counts of tables(cells, most)) {
      const key = JSON.stringify(protect(counts, bound))
      alike.set(key, [...(alike.get(key) ?? []), counts])
    }
    for (const [key, group] of alike) {
      const [first = []] = group
      const published = protect(first, bound)
      const sum = first.reduce((all, count) => all + count, 0)
      // A table whose total is as large as the largest count may have others like it that were not made here.
      if (sum > most) continue
      for (const [index, cell] of (published.cells ?? []).entries()) {
        if (!('fewerThan' in cell)) continue
        const possible = new Set(group.map((counts) => counts[index]))
        assert.is(possible.size, bound - 1, `${key} cell ${index}: ${[...possible]}`)
      }
      if (published.cells !== null) continue
      // Without the cells, each of them may be more than one thing.
      for (let index = 0; index < cells && sum > 0; index += 1) {
        assert.ok(new Set(group.map((counts) => counts[index])).size > 1, `${key} cell ${index}`)
      }
    }
  }
})

test('a count at the bound is shown, one below is not, and nothing is nothing', () => {
  assert.equal(protect([5, 20], 5), { total: { count: 25 }, cells: [{ count: 5 }, { count: 20 }] })
  assert.equal(protect([0, 20], 5), { total: { count: 20 }, cells: [{ count: 0 }, { count: 20 }] })
  assert.equal(protect([4, 20, 30], 5), {
    total: { count: 54 },
    cells: [{ fewerThan: 5 }, { withheld: true }, { count: 30 }],
  })
})

test('a lone small count is never told by its total, and a small total tells of no part', () => {
  assert.is(protect([4], 5).cells, null)
  assert.equal(protect([4], 5).total, { fewerThan: 5 })
  assert.equal(protect([2, 2, 0], 5), { total: { fewerThan: 5 }, cells: null })
  assert.equal(protect([4, 4], 5), { total: { count: 8 }, cells: null }, 'eight would be four and four')
  assert.equal(protect([1, 5], 5).cells, null, 'six, with one of at least five, is one and five')
})

test('with a bound of 0 everything is shown', () => {
  assert.equal(protect([1, 2], 0), { total: { count: 3 }, cells: [{ count: 1 }, { count: 2 }] })
})

test('rows with a small figure are added up until none is small, and no row stands in the pool alone', () => {
  const row = (name: string, ...counts: number[]) => ({ name, counts })
  assert.equal(pooled([row('a', 9, 0), row('b', 7, 5)], 5, 'other'), [row('a', 9, 0), row('b', 7, 5)])
  assert.equal(pooled([row('a', 9, 4), row('b', 7, 5), row('c', 8, 6)], 5, 'other'), [
    row('c', 8, 6),
    row('other', 16, 9),
  ])
  assert.equal(pooled([row('a', 3, 0), row('b', 4, 0), row('c', 8, 6)], 5, 'other'), [
    row('c', 8, 6),
    row('other', 7, 0),
  ])
  assert.is(pooled([row('a', 3, 0)], 5, 'other'), null)
  assert.is(pooled([row('a', 30, 1), row('b', 9, 0)], 5, 'other'), null)
  for (const counts of tables(4, 6)) {
    const [a = 0, b = 0, c = 0, d = 0] = counts
    for (const made of pooled([row('a', a, b), row('b', c, d)], 3, 'other') ?? []) {
      assert.not(made.counts.some((count) => isSmall(count, 3)))
    }
  }
})

test.run()
