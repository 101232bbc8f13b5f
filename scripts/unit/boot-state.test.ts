import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import {
  type BootState,
  COPY_BYTES,
  COPY_OFFSETS,
  changeBootState,
  decodeBootState,
  encodeBootState,
  FIRST_STATE,
  freshBootState,
  MAX_TRIES,
  nextSlot,
  readBootState,
} from './boot-state.ts'
import { answerSlots } from './slots.ts'

const MACHINE = '0123456789abcdef0123456789abcdef'

function onCard(use: (file: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'candor-slots-'))
  const file = join(folder, 'bootstate')
  try {
    writeFileSync(file, freshBootState())
    writeFileSync(join(folder, 'machine-id'), `${MACHINE}\n`)
    use(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}
const ask = (file: string, ...args: string[]) => answerSlots(file, args, join(file, '../machine-id'))

/** Writes `bytes` into a copy as a torn write would leave it. */
function spoil(file: string, copy: 0 | 1, bytes: Buffer): void {
  const all = readFileSync(file)
  bytes.copy(all, COPY_OFFSETS[copy])
  writeFileSync(file, all)
}

test('a state is what it was after it was written, in the form of U-Boot: a CRC-32 over the rest, names, zeros', () => {
  const state: BootState = { sequence: 255, primary: 'b', a: 'good', b: 2, machineId: MACHINE }
  const bytes = encodeBootState(state)
  assert.equal(decodeBootState(bytes), state)
  assert.is(bytes.length, COPY_BYTES)
  assert.is(bytes.readUInt32LE(0), crc32(bytes.subarray(4)))
  const text = `candor_a=good\0candor_b=2\0candor_machine=${MACHINE}\0candor_primary=b\0candor_sequence=ff\0\0`
  assert.is(bytes.toString('latin1', 4, 4 + text.length), text)
})

test('a copy with one bit changed, cut short, or with a value that means nothing is none', () => {
  const bytes = encodeBootState(FIRST_STATE)
  for (const at of [0, 4, 40, COPY_BYTES - 1]) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ 1
    assert.is(decodeBootState(changed), null, `byte ${at}`)
  }
  assert.is(decodeBootState(bytes.subarray(0, COPY_BYTES - 1)), null)
  assert.is(decodeBootState(Buffer.alloc(COPY_BYTES)), null)
  assert.is.not(decodeBootState(encodeBootState({ ...FIRST_STATE, b: MAX_TRIES })), null)
  assert.is(decodeBootState(encodeBootState({ ...FIRST_STATE, b: MAX_TRIES + 1 })), null)
  assert.is(decodeBootState(encodeBootState({ ...FIRST_STATE, machineId: 'x' })), null)
})

test('each change goes over the older copy, so a write that is cut leaves the state of before', () => {
  onCard((file) => {
    changeBootState(file, () => ({ b: 3 }))
    changeBootState(file, () => ({ b: 2 }))
    assert.is(readBootState(file).state.b, 2)
    assert.is(readBootState(file).copy, 0)
    // The newest is cut in the middle.
    spoil(file, 0, Buffer.alloc(2_048, 0xff))
    assert.is(readBootState(file).state.b, 3)
    changeBootState(file, () => ({ b: 1 }))
    assert.is(readBootState(file).state.b, 1)
    spoil(file, 1, Buffer.alloc(COPY_BYTES, 0))
    assert.is(readBootState(file).state.b, 1)
  })
})

test('with both copies damaged it is as on a fresh card, and the next change is valid again', () => {
  onCard((file) => {
    spoil(file, 0, Buffer.alloc(COPY_BYTES))
    assert.is(readBootState(file).state.primary, 'a')
    assert.is(readBootState(file).state.a, 'good')
    changeBootState(file, () => ({ b: 3 }))
    assert.equal(readBootState(file).state, { ...FIRST_STATE, b: 3 })
  })
})

test('the primary slot is next while it has tries, then the other, and when both are used up the primary one', () => {
  const state = { ...FIRST_STATE, primary: 'b' as const }
  assert.is(nextSlot({ ...state, a: 'good', b: 1 }), 'b')
  assert.is(nextSlot({ ...state, a: 'good', b: 0 }), 'a')
  assert.is(nextSlot({ ...state, a: 0, b: 0 }), 'b')
})

test('RAUC marks, installs and confirms', () => {
  onCard((file) => {
    assert.is(ask(file, 'get-primary'), 'a')
    assert.is(ask(file, 'get-state', 'b'), 'bad')
    assert.is(ask(file, 'set-state', 'b', 'bad'), '')
    assert.is(ask(file, 'set-primary', 'b'), '')
    assert.is(ask(file, 'get-primary'), 'b')
    assert.is(readBootState(file).state.b, MAX_TRIES)
    assert.is(ask(file, 'get-state', 'b'), 'good')
    ask(file, 'set-state', 'b', 'good')
    assert.is(readBootState(file).state.b, 'good')
    ask(file, 'set-state', 'b', 'bad')
    assert.is(ask(file, 'get-primary'), 'a')
  })
})

test("the machine's id is kept beside, and written once", () => {
  onCard((file) => {
    ask(file, 'machine-id')
    const { sequence, machineId } = readBootState(file).state
    assert.is(machineId, MACHINE)
    ask(file, 'machine-id')
    assert.is(readBootState(file).state.sequence, sequence)
  })
})

test('calls that mean nothing are refused and change nothing', () => {
  onCard((file) => {
    for (const args of [
      [],
      ['get-state'],
      ['get-state', 'c'],
      ['set-state', 'a', 'fine'],
      ['set-primary', 'a', 'b'],
      ['x', 'a'],
    ])
      assert.is(ask(file, ...args), null, args.join(' '))
    assert.is(readBootState(file).state.sequence, FIRST_STATE.sequence)
  })
})

test.run()
