/** The query of one page of alerts. Called by alerts.ts. */
import type { AlertState } from '../../shared/wire/index.ts'
import type { Database } from '../database/database.ts'

/**
 * Ids of a page, newest first. Each group and state is in order in the index, and SQLite merges them as far as the page goes;
 * any other way would sort all alerts of the groups.
 */
export function alertPage(
  build: Database['build'],
  page: {
    groups: readonly string[]
    states: readonly AlertState[]
    beforeMs: number | null
    /** Of an alert raised at this time or before, nothing is shown any more. */
    shownFromMs: number
    limit: number
  },
) {
  const { groups, states, beforeMs, shownFromMs, limit } = page
  const inOrder = groups.flatMap((group) =>
    states.map((state) => {
      const query = build
        .selectFrom('alert_groups')
        .innerJoin('alerts', 'alerts.alert_id', 'alert_groups.alert_id')
        .select(['alert_groups.raised_at_ms as raised_at_ms', 'alert_groups.alert_id as alert_id'])
        .where('alert_groups.group_name', '=', group)
        .where('alert_groups.state', '=', state)
        // Retention starts at the latest when an alert is raised, so that the walk ends where nothing is left to show.
        .where('alert_groups.raised_at_ms', '>', shownFromMs)
        .where('alerts.retained_from_ms', '>', shownFromMs)
      return beforeMs === null ? query : query.where('alert_groups.raised_at_ms', '<', beforeMs)
    }),
  )
  return inOrder
    .reduce((all, one) => all.union(one))
    .orderBy('raised_at_ms', 'desc')
    .orderBy('alert_id', 'desc')
    .limit(limit)
}
