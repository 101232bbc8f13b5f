import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { z } from 'zod'
import { checkConfig, loadConfig, MAX_CONFIG_BYTES } from './config.ts'
import { AppError } from './errors.ts'

const schema = z.strictObject({ port: z.int().min(1).max(65_535), host: z.string() })

function load(text: string | null): unknown {
  const folder = mkdtempSync(join(tmpdir(), 'candor-config-'))
  const path = join(folder, 'c.json')
  try {
    if (text !== null) writeFileSync(path, text)
    return loadConfig(path, schema)
  } catch (thrown) {
    return thrown
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function thrownBy(work: () => unknown): string {
  try {
    return `returned ${work()}`
  } catch (thrown) {
    return String(thrown)
  }
}

test('a good file is returned typed', () => {
  assert.equal(load('{"port": 8443, "host": "a"}'), { port: 8443, host: 'a' })
})

test('every problem is named with what was got', () => {
  const error = load('{"port": 70000, "hots": "a"}')
  assert.ok(error instanceof AppError && error.code === 'configuration')
  if (error instanceof AppError) {
    assert.match(error.message, /port: .*\(got 70000\)/)
    assert.match(error.message, /host: /)
    assert.match(error.message, /hots/)
  }
})

test('an address is printed without the user and password in it', () => {
  for (const host of ['rtsp://tech:s3cret@camera/live', 'x//tech:s3"cr/et@y@camera']) {
    const error = load(JSON.stringify({ port: host, host: 'a' }))
    assert.ok(error instanceof AppError && /port: .*camera/.test(error.message))
    if (error instanceof AppError) assert.not.match(error.message, /tech|s3|et@|y@/)
  }
})

test('what is secret by its name is not printed, alone or in a larger part', () => {
  const wifi = z
    .strictObject({ ssid: z.string().max(3), passphrase: z.string().min(8) })
    .refine(() => false, 'is refused')
  for (const passphrase of ['s3cret', 's3cret-and-long-enough']) {
    const problems = thrownBy(() =>
      checkConfig({ wifi: { ssid: 'Yard', passphrase } }, z.strictObject({ wifi }), 'network.json'),
    )
    assert.match(problems, /wifi.*Yard/)
    assert.not.match(problems, /s3cret/)
  }
  const refused = thrownBy(() =>
    checkConfig({ ssid: 'Yd', passphrase: 's3cret-and-long-enough' }, wifi, 'network.json'),
  )
  assert.match(refused, /is refused \(got .*Yd.*…/)
  assert.not.match(refused, /s3cret/)
})

test('a missing, broken or oversized file is a configuration error', () => {
  const big = `{"port": 1, "host": "${'a'.repeat(MAX_CONFIG_BYTES)}"}`
  for (const text of [null, '', '{', '[]', big]) {
    const error = load(text)
    assert.ok(error instanceof AppError && error.code === 'configuration', String(text).slice(0, 20))
  }
})

test.run()
