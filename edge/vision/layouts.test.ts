import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LAYOUTS, layoutOf, settleLookalikes } from './layouts.ts'

test('a layout is the text with each letter and each digit made alike', () => {
  assert.is(layoutOf('AB012YZ9'), 'LLDDDLLD')
  assert.is(layoutOf(''), '')
  for (const layout of LAYOUTS.keys()) assert.match(layout, /^[LD]{6,7}$/)
})

test('a text that fits a layout as it was read is never changed, whatever it could also be', () => {
  assert.is(settleLookalikes('TJ977FA'), null)
  // LLLDDDD as read; with the O as 0 it would be no layout, with the 1 as I neither.
  assert.is(settleLookalikes('ABO1234'), null)
})

test('the one choice of O and 0, I and 1 that gives an issued layout is taken, and named', () => {
  assert.equal(settleLookalikes('TJO77FA'), { text: 'TJ077FA', layout: 'LLDDDLL' })
  assert.equal(settleLookalikes('TJ9770A'), { text: 'TJ977OA', layout: 'LLDDDLL' })
  assert.equal(settleLookalikes('I2BC345'), null, 'DDLLDDD and LDLLDDD are issued nowhere')
})

test('where several choices fit, nobody decides', () => {
  assert.is(settleLookalikes('ABCOIOI'), null, 'ABC0101 is LLLDDDD, ABC0I01 is LLLDLDD')
})

test('four look-alikes are tried, a fifth is one too many', () => {
  assert.equal(settleLookalikes('OABCIOI'), { text: '0ABC101', layout: 'DLLLDDD' })
  assert.is(settleLookalikes('OAOCIOI'), null)
})

test('a text without look-alikes, or without any layout in reach, is left alone', () => {
  for (const text of ['', 'A', 'ABCDEFG', '2345678', 'OOOO', '0000']) assert.is(settleLookalikes(text), null, text)
})

test.run()
