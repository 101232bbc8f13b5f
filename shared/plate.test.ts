import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  CONFUSABLE_CLASSES,
  comparePlates,
  confusableDistance,
  confusableKey,
  NEAR_MIN_LENGTH,
  normalisePlate,
  PLATE_MAX_LENGTH,
  PLATE_MIN_LENGTH,
} from './plate.ts'

test('separators and case do not matter to a plate', () => {
  assert.is(normalisePlate('abc-12 3'), 'ABC123')
  assert.is(normalisePlate('B·12·ABC'), 'B12ABC')
  assert.is(normalisePlate('ABC.1234'), 'ABC1234')
})

test('what cannot be a plate is null', () => {
  for (const text of ['', ' ', 'Ä123', 'AB$12', '<script>', 'A\u0000B', '日本12'])
    assert.is(normalisePlate(text), null, text)
})

test('a plate has 2 to 12 characters', () => {
  assert.is(normalisePlate('A'.repeat(PLATE_MIN_LENGTH - 1)), null)
  assert.is(normalisePlate('A'.repeat(PLATE_MIN_LENGTH)), 'AA')
  assert.is(normalisePlate('A'.repeat(PLATE_MAX_LENGTH)), 'A'.repeat(PLATE_MAX_LENGTH))
  assert.is(normalisePlate('A'.repeat(PLATE_MAX_LENGTH + 1)), null)
})

test('every pair within a confusable class is a near match, both ways', () => {
  for (const members of CONFUSABLE_CLASSES) {
    for (const a of members) {
      for (const b of members) {
        if (a === b) continue
        assert.is(comparePlates(`AB${a}77`, `AB${b}77`), 'near', `${a} and ${b}`)
        assert.is(confusableKey(`AB${a}77`), confusableKey(`AB${b}77`))
      }
    }
  }
})

test('no character belongs to two classes', () => {
  const all = CONFUSABLE_CLASSES.join('')
  assert.is(new Set(all).size, all.length)
})

test('one substitution is near, two are none', () => {
  assert.is(comparePlates('ABC0123', 'ABCO123'), 'near')
  assert.is(confusableDistance('ABC0125', 'ABCO12S'), 2)
  assert.is(comparePlates('ABC0125', 'ABCO12S'), null)
})

test('characters of different classes never match', () => {
  assert.is(confusableDistance('ABC123', 'ABC124'), null)
  assert.is(comparePlates('ABC123', 'ABC12'), null)
})

test('short plates match exactly or not at all', () => {
  const short = '0'.repeat(NEAR_MIN_LENGTH - 1)
  assert.is(comparePlates(short, `O${short.slice(1)}`), null)
  assert.is(comparePlates(short, short), 'exact')
  assert.is(comparePlates(`0${short}`, `O${short}`), 'near')
})

test.run()
