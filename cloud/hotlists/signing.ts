/** Current manifests under the signing key of now: the same bytes, signed again, so that a list is as old as it was. Used by hotlists.ts. */
import type { Envelope, Signer } from '../../shared/signing.ts'
import { topics } from '../../shared/topics.ts'
import type { Database } from '../database/database.ts'
import type { Hotlists, Publish } from '../hotlists.ts'

interface InForce {
  list: string
  version: number
}

/** `alone` runs its work while no list is being changed; it is not asked when there is nothing to sign. */
export function createSigningAgain(
  { database, agency, signer }: { database: Database; agency: string; signer: Signer },
  inForce: ReadonlyMap<string, InForce>,
  alone: (work: () => Promise<void>) => Promise<void>,
): Hotlists['signAgain'] {
  const { build } = database

  async function left() {
    const found: (InForce & { payload: string; isPublished: boolean })[] = []
    for (const { list, version } of [...inForce.values()]) {
      const own = build.selectFrom('hotlist_versions').where('list', '=', list).where('version', '=', version)
      const [row] = await database.read(own.select(['manifest', 'published']))
      if (row === undefined || row.manifest === null) continue
      const { keyId, payload } = JSON.parse(row.manifest) as Envelope
      if (keyId !== signer.keyId) found.push({ list, version, payload, isPublished: row.published === 1 })
    }
    return found
  }

  /** Published before it is stored: what is cut short is done again. Chunks carry no signature and stay. */
  async function sign(publish: Publish): Promise<void> {
    for (const { list, version, payload, isPublished } of await left()) {
      const manifest = JSON.stringify(signer.seal(Buffer.from(payload, 'base64')))
      if (isPublished) await publish(topics.manifest(agency, list), Buffer.from(manifest), { qos: 1, retain: true })
      await database.writeBatch([
        build.updateTable('hotlist_versions').set({ manifest }).where('list', '=', list).where('version', '=', version),
      ])
    }
  }

  return async (publish) => {
    if ((await left()).length > 0) await alone(() => sign(publish))
  }
}
