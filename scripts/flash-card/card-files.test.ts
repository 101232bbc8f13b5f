import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { describeError } from '../../shared/errors.ts'
import { cardFiles } from './card-files.ts'

const STREAM = { kind: 'stream', address: 'rtsp://10.0.0.9/1' }

function made(unit: object | null, login: string | null): string {
  const folder = mkdtempSync(join(tmpdir(), 'candor-card-'))
  try {
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    return [
      ...cardFiles({
        ...(unit === null ? {} : { unit: file('unit', JSON.stringify(unit)) }),
        ...(login === null ? {} : { cameraLogin: file('login', login) }),
      }).keys(),
    ]
      .sort()
      .join()
  } catch (thrown) {
    return describeError(thrown)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

test('the log-in and what unit.json says of it go together, or no card is made', () => {
  const withLogin = { edge: { source: { ...STREAM, credentialsFile: 'camera-login' } } }
  assert.is(made(withLogin, 'user:password\n'), 'camera-login,unit.json')
  assert.match(made(withLogin, null), /unit.json names camera-login, which is missing.*--camera-login/s)
  assert.match(made(withLogin, 'no colon'), /user:password/)
  assert.is(made({ edge: { source: STREAM } }, null), 'unit.json')
  assert.is(made(null, null), '')
  for (const unit of [{ edge: { source: STREAM } }, { edge: {} }, null])
    assert.match(made(unit, 'user:password'), /no source in unit.json uses the log-in/)
})

test('a card for a camera that no image has is not made', () => {
  assert.match(made({ edge: { source: { kind: 'rpicam' } } }, null), /Raspberry Pi OS/)
  assert.match(made({ edge: { source: { ...STREAM, credentialsFile: 'login' } } }, 'a:b'), /must be camera-login/)
})

test.run()
