/** The tables of the audit's tree, its witnesses and its purges as Kysely sees them; part of schema.ts. */

/** Owner: audit/nodes.ts. The Merkle hash of the `position`-th 256^level entries; level from 1 on. */
export interface AuditNodesTable {
  level: number
  position: number
  hash: Buffer
}

/** Owner: audit/witnesses.ts. */
export interface AuditWitnessesTable {
  witness: string
  verifier_key: string
  added_at_ms: number
  added_by: string
}

/** Owner: audit/witnesses.ts. */
export interface AuditCheckpointsTable {
  size: number
  note: string
}

/** Owner: audit/witnesses.ts. Kept when its witness is no longer known: it was given all the same. */
export interface AuditCosignaturesTable {
  size: number
  verifier_key: string
  line: string
  cosigned_at_ms: number
  received_at_ms: number
}

/** Owner: audit/purge.ts. done_at_ms: null until the last of its bytes is gone. */
export interface AuditPurgesTable {
  through_seq: number
  from_seq: number
  receipt_seq: number
  done_at_ms: number | null
}

export interface AuditSchema {
  audit_nodes: AuditNodesTable
  audit_witnesses: AuditWitnessesTable
  audit_checkpoints: AuditCheckpointsTable
  audit_cosignatures: AuditCosignaturesTable
  audit_purges: AuditPurgesTable
}
