/** Is a downloaded report what the agency signed? Needs no cloud and no account; used by the command and by tests. */
import { toAppError } from '../../shared/errors.ts'
import { createVerifier, sha256Hex } from '../../shared/signing.ts'
import { openHead } from '../audit/head.ts'
import { FILES, type Manifest, manifestSchema } from './document.ts'

export type ReportVerdict = { ok: true; manifest: Manifest } | { ok: false; problem: string }

/** `read` gives the text of a file by its name, or throws. */
export function verifyReport(read: (name: string) => string, publicKeyPem: string): ReportVerdict {
  try {
    const verifier = createVerifier([publicKeyPem])
    const manifest = manifestSchema.parse(JSON.parse(verifier.open(JSON.parse(read(FILES.manifest))).toString('utf8')))
    for (const name of [FILES.json, FILES.csv, FILES.html]) {
      if (sha256Hex(read(name)) !== manifest.files[name])
        return { ok: false, problem: `${name} is not what was signed` }
    }
    const { entries, head, checkpoint } = manifest.audit
    const signed = openHead(checkpoint, publicKeyPem, 'the checkpoint')
    if (signed.seq !== entries || signed.hash !== head || signed.agency !== manifest.agency) {
      return { ok: false, problem: 'the checkpoint is of another place of the audit' }
    }
    return { ok: true, manifest }
  } catch (thrown) {
    return { ok: false, problem: toAppError(thrown).message }
  }
}
