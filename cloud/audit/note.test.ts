import { createPublicKey, verify } from 'node:crypto'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { AppError, type ErrorCode } from '../../shared/errors.ts'
import { createSigner, newSigningKeyPem } from '../../shared/signing.ts'
import {
  type Checkpoint,
  checkpointText,
  cosign,
  cosignatureOf,
  encodeWitnessSecret,
  isWitnessKey,
  keyIdOf,
  logKey,
  MAX_COSIGNATURE_AHEAD_MS,
  MAX_KEY_NAME_CHARACTERS,
  MAX_NOTE_CHARACTERS,
  MAX_NOTE_SIGNATURES,
  noteAsKept,
  noteOf,
  openCheckpoint,
  originOf,
  parseCheckpoint,
  parseNote,
  parseVerifierKey,
  parseWitnessSecret,
  signCheckpoint,
  verifierKey,
} from './note.ts'

/** Key and note of the reference implementation's own tests (golang.org/x/mod/sumdb/note). */
const PETER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'
const PETERS_TEXT =
  "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
const PETERS_LINE =
  '\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM='

const NOW_MS = Date.parse('2026-02-03T04:05:06Z')
const CHECKPOINT: Checkpoint = { origin: originOf('springfield'), size: 70_000, root: Buffer.alloc(32, 9) }

function newLog() {
  const signer = createSigner(newSigningKeyPem().privateKeyPem)
  const key = logKey(CHECKPOINT.origin, signer.publicKeyPem)
  const raw = (bytes: Buffer) => Buffer.from(signer.seal(bytes).signature, 'base64')
  return { key, raw, note: signCheckpoint(CHECKPOINT, key, raw) }
}

function newWitness(name = 'county.example/w1') {
  return parseWitnessSecret(encodeWitnessSecret(name, Buffer.alloc(32, name.length)))
}

function fails(work: () => unknown, code: ErrorCode, message = /./): void {
  try {
    work()
  } catch (thrown) {
    assert.instance(thrown, AppError, String(thrown))
    assert.is((thrown as AppError).code, code)
    assert.match((thrown as AppError).message, message)
    return
  }
  assert.unreachable(`expected ${code}`)
}

test('a verifier key of the reference implementation is read and written, and its note verifies', () => {
  const key = parseVerifierKey(PETER)
  assert.is(keyIdOf(key), 'c74f20a3')
  assert.is(verifierKey(key), PETER)
  assert.not(isWitnessKey(key))
  const note = parseNote(noteOf(PETERS_TEXT, [PETERS_LINE]))
  assert.is(note.text, PETERS_TEXT)
  assert.is(note.signatures[0]?.keyId, 'c74f20a3')
  // Signed, and so past the signature; but what Peter signed is no checkpoint.
  fails(() => openCheckpoint(noteOf(PETERS_TEXT, [PETERS_LINE]), key), 'bad_input', /not a checkpoint/)
  fails(
    () => openCheckpoint(noteOf(PETERS_TEXT.replace('answer', 'Answer'), [PETERS_LINE]), key),
    'integrity',
    /does not verify/,
  )
})

test('any change of a verifier key makes it none', () => {
  for (let at = 0; at < PETER.length; at++) {
    const changed = `${PETER.slice(0, at)}${String.fromCharCode(PETER.charCodeAt(at) + 1)}${PETER.slice(at + 1)}`
    fails(() => parseVerifierKey(changed), 'bad_input')
    if (at > 0) fails(() => parseVerifierKey(PETER.slice(0, at)), 'bad_input')
  }
})

test('a checkpoint has the form of tlog-checkpoint and is opened with its log\u2019s key alone', () => {
  const { key, note } = newLog()
  const lines = note.split('\n')
  assert.equal(lines.slice(0, 4), ['candor.example/springfield/audit', '70000', CHECKPOINT.root.toString('base64'), ''])
  assert.match(lines[4] ?? '', /^\u2014 candor\.example\/springfield\/audit [A-Za-z0-9+/]{91}=$/)
  assert.is(lines.length, 6)
  const { note: _, ...opened } = openCheckpoint(note, key)
  assert.equal(opened, CHECKPOINT)
  fails(() => openCheckpoint(note, newLog().key), 'integrity', /not signed by the key/)
  fails(() => openCheckpoint(note.replace('70000', '70001'), key), 'integrity', /does not verify/)
  const foreign = { ...CHECKPOINT, origin: originOf('shelbyville') }
  const { key: own, raw } = newLog()
  fails(() => openCheckpoint(signCheckpoint(foreign, own, raw), own), 'integrity', /is of candor\.example\/shelby/)
})

test('every changed character of a checkpoint is found', () => {
  const { key, note } = newLog()
  for (let at = 0; at < note.length; at++) {
    const changed = `${note.slice(0, at)}${note[at] === 'A' ? 'B' : 'A'}${note.slice(at + 1)}`
    assert.throws(() => openCheckpoint(changed, key), undefined, `at ${at}`)
  }
})

test('a checkpoint that was copied into a file by hand is opened, whatever the file made of its line ends and edges', () => {
  const { key, note } = newLog()
  const kept = [
    note,
    note.trimEnd(),
    note.replaceAll('\n', '\r\n'),
    `\ufeff${note.replaceAll('\n', '\r\n').trimEnd()}`,
    `\n\n${note.replaceAll(/^/gm, '  ')}\n\n\n`,
    note.replaceAll('\n', ' \t\n'),
  ]
  for (const text of kept) {
    assert.is(noteAsKept(text), note, JSON.stringify(text))
    assert.equal(openCheckpoint(noteAsKept(text), key).size, CHECKPOINT.size)
  }
  fails(() => openCheckpoint(noteAsKept(note.replace('70000', '70001')), key), 'integrity')
})

test('each part of a note and of a checkpoint is checked', () => {
  const { note } = newLog()
  const [line] = parseNote(note).signatures
  const text = checkpointText(CHECKPOINT)
  for (const bad of [
    '',
    text,
    `${text}\n`,
    note.slice(0, -1),
    note.replace('\u2014 ', '- '),
    note.replace('\n\n', '\n\u0007\n\n'),
    noteOf(text, [`${line?.line}=`]),
    noteOf(text, ['\u2014 name AAAA']),
  ]) {
    fails(() => parseNote(bad), 'bad_input')
  }
  const lines = (count: number) => Array.from({ length: count }, () => line?.line ?? '')
  assert.is(parseNote(noteOf(text, lines(MAX_NOTE_SIGNATURES))).signatures.length, MAX_NOTE_SIGNATURES)
  fails(() => parseNote(noteOf(text, lines(MAX_NOTE_SIGNATURES + 1))), 'too_large')
  const padded = (length: number) => `${'x'.repeat(length - note.length)}${note}`
  assert.is(parseNote(padded(MAX_NOTE_CHARACTERS)).signatures.length, 1)
  fails(() => parseNote(padded(MAX_NOTE_CHARACTERS + 1)), 'too_large')
  for (const bad of [
    '',
    '\n1\nAAAA\n',
    text.replace('70000', '07'),
    text.replace('70000', '-1'),
    text.replace('C', '!'),
  ]) {
    if (bad !== text) fails(() => parseCheckpoint(bad), 'bad_input')
  }
  fails(() => parseCheckpoint(text.replace('70000', '9007199254740992')), 'bad_input')
  assert.is(parseCheckpoint(text.replace('70000', '9007199254740991')).size, Number.MAX_SAFE_INTEGER)
  assert.is(parseCheckpoint(`${text}an extension\n`).size, 70_000)
})

test('a witness\u2019s key has a name without spaces and pluses, of bounded length', () => {
  const seed = Buffer.alloc(32, 1)
  const longest = 'n'.repeat(MAX_KEY_NAME_CHARACTERS)
  assert.is(parseWitnessSecret(encodeWitnessSecret(longest, seed)).key.name, longest)
  for (const name of [`${longest}n`, 'with space', 'with+plus', 'tab\t', '']) {
    fails(() => parseWitnessSecret(encodeWitnessSecret(name, seed)), 'configuration')
  }
  fails(() => parseWitnessSecret(PETER), 'configuration')
  const { key } = newWitness()
  assert.ok(isWitnessKey(parseVerifierKey(verifierKey(key))))
})

test('a cosignature is made and verified as tlog-cosignature says', () => {
  const { note } = newLog()
  const witness = newWitness()
  const text = checkpointText(CHECKPOINT)
  const line = cosign(text, witness, NOW_MS)
  const opened = parseNote(`${note}${line}\n`)
  assert.equal(cosignatureOf(opened, witness.key, NOW_MS), { line, atMs: NOW_MS })
  // Written out anew from the specification, beside the code that is tested.
  const bytes = Buffer.from(line.split(' ')[2] ?? '', 'base64')
  assert.is(bytes.length, 4 + 8 + 64)
  assert.is(Number(bytes.readBigUInt64BE(4)), NOW_MS / 1_000)
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), witness.key.publicKey])
  const message = `cosignature/v1\ntime ${NOW_MS / 1_000}\n${text}`
  const key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  assert.ok(verify(null, Buffer.from(message), key, bytes.subarray(12)))
})

test('a cosignature of an unknown witness says nothing; a changed one, or one from the future, is refused', () => {
  const { note } = newLog()
  const witness = newWitness()
  const text = checkpointText(CHECKPOINT)
  const withLine = (atMs: number) => parseNote(`${note}${cosign(text, witness, atMs)}\n`)
  assert.is(cosignatureOf(withLine(NOW_MS), newWitness('other.example').key, NOW_MS), null)
  assert.is(cosignatureOf(parseNote(note), witness.key, NOW_MS), null)
  const late = NOW_MS + MAX_COSIGNATURE_AHEAD_MS
  assert.is(cosignatureOf(withLine(late), witness.key, NOW_MS)?.atMs, late)
  fails(() => cosignatureOf(withLine(late + 1_000), witness.key, NOW_MS), 'integrity', /future/)
  assert.is(cosignatureOf(withLine(late + 1_000), witness.key, null)?.atMs, late + 1_000)
  const moved = parseNote(`${note}${cosign(text, witness, NOW_MS)}\n`.replace('70000', '70001'))
  fails(() => cosignatureOf(moved, witness.key, NOW_MS), 'integrity', /does not verify/)
  const short = { ...moved, signatures: moved.signatures.map((one) => ({ ...one, signature: Buffer.alloc(9) })) }
  fails(() => cosignatureOf(short, witness.key, NOW_MS), 'integrity', /damaged/)
})

test.run()
