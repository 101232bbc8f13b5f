/** Is a downloaded report what the agency signed? Needs no cloud and no account; used by the command and by tests. */
import { toAppError } from '../../shared/errors.ts'
import { createVerifier, sha256Hex } from '../../shared/signing.ts'
import { logKey, openCheckpoint, originOf } from '../audit/note.ts'
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
    const { entries, root, checkpoint } = manifest.audit
    const signed = openCheckpoint(checkpoint, logKey(originOf(manifest.agency), publicKeyPem))
    if (signed.size !== entries || signed.root.toString('base64') !== root) {
      return { ok: false, problem: 'the checkpoint is of another place of the audit' }
    }
    return { ok: true, manifest }
  } catch (thrown) {
    return { ok: false, problem: toAppError(thrown).message }
  }
}
