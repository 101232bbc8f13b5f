import type { Migration } from '../migrate.ts'

/** What webhooks are told besides alerts: alarms about cameras. */
export const webhookEvents: Migration = {
  number: 41,
  name: 'webhook events',
  sql: `
    ALTER TABLE webhooks ADD COLUMN event_kinds TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE webhook_events (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      webhook TEXT NOT NULL REFERENCES webhooks (webhook) ON DELETE CASCADE,
      kind TEXT NOT NULL,
      event_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      document TEXT NOT NULL,
      delivery_id TEXT NOT NULL,
      queued_at_ms INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      next_at_ms INTEGER NOT NULL,
      UNIQUE (webhook, kind, event_id)
    ) STRICT;
    CREATE INDEX webhook_events_in_order ON webhook_events (webhook, position);
    CREATE INDEX webhook_events_due ON webhook_events (webhook, next_at_ms, position);
    CREATE INDEX webhook_events_failed ON webhook_events (webhook) WHERE attempts > 0;
  `,
}
