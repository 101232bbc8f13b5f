import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createPacketGauge } from './packet-limit.ts'

/** Remaining Length as MQTT writes it [MQTT 3.1.1, 2.2.3]. */
function lengthBytes(length: number): number[] {
  const bytes: number[] = []
  for (let left = length; ; left = Math.floor(left / 128)) {
    if (left < 128) return [...bytes, left]
    bytes.push((left % 128) + 128)
  }
}
const packet = (length: number) =>
  Buffer.concat([Buffer.from([0x30, ...lengthBytes(length)]), Buffer.alloc(length, 0xff)])

test('packets at the limit pass and one byte more does not, whatever its number of length bytes', () => {
  for (const limit of [0, 1, 127, 128, 16_383, 16_384, 100_000]) {
    assert.ok(createPacketGauge(limit)(packet(limit)), `${limit}`)
    assert.not(createPacketGauge(limit)(packet(limit + 1)), `${limit} + 1`)
  }
})

test('a packet that is too long is known from its header, before its content has come', () => {
  assert.not(createPacketGauge(1_000)(Buffer.from([0x30, ...lengthBytes(200_000_000)])))
})

test('packets follow each other, cut at any place', () => {
  const stream = Buffer.concat([packet(2), packet(0), packet(300), packet(128), packet(5)])
  for (let cut = 1; cut <= stream.length; cut += 1) {
    const gauge = createPacketGauge(300)
    for (let at = 0; at < stream.length; at += cut)
      assert.ok(gauge(stream.subarray(at, at + cut)), `in pieces of ${cut}`)
    const tooLong = packet(301)
    let taken = true
    for (let at = 0; at < tooLong.length && taken; at += cut) taken = gauge(tooLong.subarray(at, at + cut))
    assert.not(taken, `the last one, in pieces of ${cut}`)
  }
})

test('a length of more than four bytes is malformed, and no bytes are no packet', () => {
  assert.not(createPacketGauge(2 ** 40)(Buffer.from([0x30, 0x80, 0x80, 0x80, 0x80])))
  assert.ok(createPacketGauge(2 ** 40)(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f])))
  assert.ok(createPacketGauge(10)(Buffer.alloc(0)))
})

test.run()
