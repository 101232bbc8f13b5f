import type { Migration } from '../migrate.ts'

/** Of a list that is imported each hour there are thousands of versions, and three with rows: those and what is retained are found by themselves. */
export const pastVersions: Migration = {
  number: 51,
  name: 'past-versions',
  sql: `
    CREATE INDEX hotlist_versions_with_rows ON hotlist_versions (state, list, version)
      WHERE state IN ('staging', 'pending', 'ready', 'retiring');
    CREATE INDEX hotlist_versions_retained ON hotlist_versions (list, version, chunks_retained, delta_chunks_retained)
      WHERE (chunks_retained > 0 OR delta_chunks_retained > 0);
    UPDATE hotlist_versions SET manifest = NULL WHERE state = 'retired';
  `,
}
