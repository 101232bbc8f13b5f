import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { editsWithin, stateNamed } from './state-names.ts'

const code = (...lines: string[]) => stateNamed(lines)?.code ?? null

test('a state is known by its name or by what only its plates say, read with mistakes', () => {
  assert.is(code('* MICHIGAN * |'), 'US-MI')
  assert.is(code('[8 [misiana_®', "Spoctaman's Paradise bh LN"), 'US-LA')
  assert.is(code('© MISNSYPPIC', '2 MISSISSIPPI'), 'US-MS')
  assert.is(code('1 TAXATION WITHOUT REFRESEM] ATION'), 'US-DC')
  assert.is(code('LIVE FREE OR DIE'), 'US-NH')
})

test('a longer name speaks where it holds a shorter one', () => {
  assert.is(code('Arkansas'), 'US-AR')
  assert.is(code('KANSAS'), 'US-KS')
  assert.is(code('WEST VIRGINIA'), 'US-WV')
  assert.is(code('VIRGINIA'), 'US-VA')
  assert.is(code('WASHINGTON, DC'), 'US-DC')
  assert.is(code('WASHINGTON'), 'US-WA')
})

test('where nothing is named, two are, or a short name is not read whole, none is', () => {
  assert.is(code(), null)
  assert.is(code('LOU FUSZ', 'JUN 2013'), null)
  assert.is(code('OREGON', 'IDAHO STATE'), null)
  assert.is(code('I0WA'), null)
  assert.is(code('NORTH'), null)
})

test('mistakes lower the confidence, a slogan beside the name raises it', () => {
  const sure = (...lines: string[]) => stateNamed(lines)?.confidence ?? 0
  assert.ok(sure('CONNECTICUT') > sure('CONNECTCUT'))
  assert.ok(sure('OKLAHOMA', 'NATIVE AMERICA') > sure('OKLAHOMA'))
  assert.ok(sure('OHIO') < sure('MINNESOTA'))
})

test('edits within a text count the fewest changes to any part of it', () => {
  assert.is(editsWithin('XXTEXASXX', 'TEXAS'), 0)
  assert.is(editsWithin('XXTEXSXX', 'TEXAS'), 1)
  assert.is(editsWithin('', 'TEXAS'), 5)
})

test.run()
