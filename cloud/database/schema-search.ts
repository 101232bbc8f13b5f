/** What searches walk as Kysely sees it; part of schema.ts. */
/** Owner: sightings.ts, by the triggers of its table: each key of a plate once, while a sighting has it. */
export interface PlateKeysTable {
  confusable_key: string
}

export interface SearchSchema {
  plate_keys: PlateKeysTable
}
