import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newPageCertificate } from './certificate.ts'
import { codeFileText, parseCodeFile, UNIT_HOST_NAME } from './code-file.ts'

const CODE = 'ABCDEFGH'
const certificate = newPageCertificate([UNIT_HOST_NAME], Date.now())
const other = newPageCertificate([UNIT_HOST_NAME], Date.now())

test('a code alone, as somebody types it into a file, needs no certificate', () => {
  for (const text of [
    'abcd-efgh',
    'ABCD EFGH\r\n',
    '\n  abcdefgh\n\n',
    codeFileText({ code: CODE, certificate: null }),
  ])
    assert.equal(parseCodeFile(text), { code: CODE, certificate: null }, JSON.stringify(text))
})

test('what is written is what is read: code, key, certificate and its digest, also with the line ends of a PC', () => {
  const text = codeFileText({ code: CODE, certificate })
  assert.is(text.split('\n')[0], 'ABCD-EFGH')
  for (const written of [text, text.replaceAll('\n', '\r\n')]) {
    const read = parseCodeFile(written)
    assert.is(read?.code, CODE)
    assert.is(read?.certificate?.fingerprint, certificate.fingerprint)
    assert.is(read?.certificate?.keyPem.trim(), certificate.keyPem.trim())
    assert.is(read?.certificate?.certificatePem.trim(), certificate.certificatePem.trim())
  }
})

test('no code, a key that is not the certificate’s, half a file: it is none', () => {
  const whole = codeFileText({ code: CODE, certificate })
  const mixed = codeFileText({ code: CODE, certificate: { ...certificate, keyPem: other.keyPem } })
  for (const text of [
    '',
    'abcd-efg',
    whole.replace('ABCD-EFGH', 'ABCD'),
    mixed,
    whole.slice(0, -100),
    whole.slice(0, 200),
  ])
    assert.is(parseCodeFile(text), null, text.slice(0, 40))
})

test.run()
