/** What a camera sealed for the topic that it publishes on. Called by the broker before anybody else sees a publish. */
import { isSealed, type Opener } from '../../shared/sealing.ts'

/** The publish's bytes, opened where they were sealed for this very topic; what cannot be opened is left, and set aside by ingest. */
export function openedPayload(
  { topic, payload }: { topic: string; payload: string | Buffer },
  sealing: Opener,
): Buffer {
  const bytes = Buffer.isBuffer(payload) ? payload : Buffer.from(payload)
  if (!isSealed(bytes)) return bytes
  try {
    return sealing.open(bytes, topic)
  } catch {
    return bytes
  }
}
