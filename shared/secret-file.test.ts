import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { PUBLIC_MODE, SECRET_MODE, writeFileDurably } from './secret-file.ts'

test('what stood there is replaced whole, with the mode that was asked for, and nothing is left beside', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-secret-'))
  try {
    const file = join(folder, 'key.pem')
    writeFileSync(`${file}.tmp`, 'left by a power cut', { mode: PUBLIC_MODE })
    for (const [content, mode] of [
      ['one', SECRET_MODE],
      ['two', PUBLIC_MODE],
    ] as const) {
      await writeFileDurably(file, content, mode)
      assert.is(readFileSync(file, 'utf8'), content)
      assert.is(statSync(file).mode & 0o777, mode)
      assert.is(existsSync(`${file}.tmp`), false)
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a link that was put there is not followed', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'candor-secret-'))
  try {
    const other = join(folder, 'shadow')
    writeFileSync(other, 'of root', { mode: 0o640 })
    const file = join(folder, 'edge.json')
    for (const link of [`${file}.tmp`, file]) symlinkSync(other, link)
    await writeFileDurably(file, '{}')
    assert.is(readFileSync(other, 'utf8'), 'of root')
    assert.is(statSync(other).mode & 0o777, 0o640)
    assert.is(lstatSync(file).isSymbolicLink(), false)
    assert.is(readFileSync(file, 'utf8'), '{}')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test.run()
