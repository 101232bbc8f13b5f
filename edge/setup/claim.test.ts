import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { newClaimCode } from '../../shared/claim-code.ts'
import { newSecret } from '../../shared/ids.ts'
import { newPageCertificate } from './certificate.ts'
import { claimOf } from './claim.ts'

const CODE = newClaimCode(newSecret)
const PIN = 'ab'.repeat(32)
const CLOUD = 'https://cloud.example:8443'

test('the text that the command prints is understood as it is, and so is its file', () => {
  const printed =
    `${CODE}\n\nClaim for north-1, good until 2026-12-01 10:00:00Z, for one unit. On the unit:\n` +
    `  candor enrol --claim ${CODE} --cloud ${CLOUD} \\\n    --ca-sha256 ${PIN} --out FOLDER\n`
  assert.equal(claimOf({ text: printed }), {
    ...{ code: CODE, expected: null },
    address: { url: CLOUD, trust: { caSha256: PIN }, notBeforeMs: null },
  })
  const caPem = newPageCertificate(['localhost'], null).certificatePem
  const madeAtMs = Date.UTC(2026, 10, 29)
  const file = { candorClaim: 1, cloud: CLOUD, agency: 'springfield', camera: 'north-1', code: CODE, caPem, madeAtMs }
  const { address, expected } = claimOf({ text: JSON.stringify(file, null, 2) })
  assert.equal(expected, { agency: 'springfield', camera: 'north-1' })
  assert.equal(address, { url: CLOUD, trust: { caPem }, notBeforeMs: madeAtMs })
})

test('a code that is typed needs the cloud and whom to trust', () => {
  const typed = CODE.toLowerCase().replaceAll('-', ' ')
  const pin = PIN.toUpperCase().replace(/..(?!$)/g, '$&:')
  const { address } = claimOf({ text: ` ${typed}\n`, cloud: ` ${CLOUD} `, caSha256: ` ${pin}\n` })
  assert.equal(address.trust, { caSha256: pin })
  assert.is(address.url, CLOUD)
  const refused = (change: object) =>
    assert.throws(
      () => claimOf({ text: CODE, cloud: CLOUD, caSha256: PIN, ...change }),
      (error: { code: string }) => error.code === 'bad_input',
      JSON.stringify(change),
    )
  refused({ cloud: undefined })
  refused({ cloud: 'http://cloud.example' })
  refused({ cloud: 'cloud.example' })
  refused({ caSha256: undefined })
  refused({ caSha256: PIN.slice(1) })
  refused({ caSha256: `${PIN}0` })
  refused({ text: CODE.slice(1) })
  refused({ text: `${CODE.slice(0, -1)}${CODE.endsWith('0') ? '1' : '0'}` })
  refused({ text: '{"candorClaim": 1}' })
  refused({ text: '' })
})

test.run()
