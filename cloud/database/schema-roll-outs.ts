/** The tables of roll-outs as Kysely sees them; part of schema.ts. */
/** Owner: roll-outs/releases.ts. */
export interface ReleasesTable {
  version: string
  compatible: string
  sha256: string
  bytes: number
  notes: string | null
  added_at_ms: number
  added_by: string
}

/**
 * Owner: roll-outs.ts. `kind`: image, with `sha256` of the release, or settings, with them as JSON; `stages` is a JSON array of percents;
 * `forgiven`: cameras that went wrong and in spite of which a person let it go on. `whole_from`: of one to all cameras, the
 * number from which on a turn says that a camera has had its own; null: it was to some. `still_since_ms`: when it last moved, of one that was
 * told to stand still. `takes_back`: which settings that went to all go from all again; null: none, or it was ended before it told anybody. `named_first`: a JSON array of cameras; null: not known. `resumed_ms`: when a person last let it go on; null: never.
 */
export interface RollOutsTable {
  number: number
  kind: string
  sha256: string | null
  settings: string | null
  stages: string
  soak_ms: number
  state: string
  stage: number
  since_ms: number
  forgiven: number
  because: string | null
  reason: string
  made_at_ms: number
  made_by: string
  approved_by: string | null
  ended_at_ms: number | null
  whole_from: number | null
  still_since_ms: number | null
  named_first: string | null
  resumed_ms: number | null
  takes_back: number | null
}

/**
 * Owner: roll-outs.ts. `token` lets one camera fetch one release, which is no secret; it keeps strangers from using up the line. `standing`: of
 * the settings that the camera is meant to work by; at most one a camera. `reopened`: times in a row that it was opened again, last at
 * `reopened_at_ms` for the unit whose certificate has the fingerprint `reopened_for`; null: never.
 */
export interface RollOutTurnsTable {
  target_id: string
  number: number
  camera_id: string
  stage: number
  state: string
  message: string | null
  token: string
  told_at_ms: number | null
  told_again_ms: number | null
  changed_at_ms: number
  standing: number
  reopened: number
  reopened_at_ms: number | null
  reopened_for: string | null
}

export interface RollOutsSchema {
  releases: ReleasesTable
  roll_outs: RollOutsTable
  roll_out_turns: RollOutTurnsTable
}
