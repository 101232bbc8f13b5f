import type { Migration } from '../migrate.ts'

export const webhooks: Migration = {
  number: 21,
  name: 'webhooks',
  sql: `
    CREATE TABLE webhooks (
      webhook TEXT PRIMARY KEY,
      url TEXT NOT NULL,
      alert_groups TEXT NOT NULL,
      include_plate INTEGER NOT NULL,
      secret_salt TEXT NOT NULL,
      created_at_ms INTEGER NOT NULL,
      created_by TEXT NOT NULL,
      paused_at_ms INTEGER,
      paused_by TEXT,
      failing_since_ms INTEGER,
      full_since_ms INTEGER,
      dropped INTEGER NOT NULL DEFAULT 0,
      last_attempt_at_ms INTEGER,
      last_status INTEGER,
      last_reason TEXT,
      last_delivered_at_ms INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE webhook_deliveries (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      webhook TEXT NOT NULL REFERENCES webhooks (webhook) ON DELETE CASCADE,
      alert_id TEXT NOT NULL REFERENCES alerts (alert_id) ON DELETE CASCADE,
      revision INTEGER NOT NULL,
      delivery_id TEXT NOT NULL,
      queued_at_ms INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      next_at_ms INTEGER NOT NULL,
      UNIQUE (alert_id, webhook)
    ) STRICT;
    CREATE INDEX webhook_deliveries_in_order ON webhook_deliveries (webhook, position);
    CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook, next_at_ms, position);
    CREATE INDEX webhook_deliveries_failed ON webhook_deliveries (webhook) WHERE attempts > 0;
  `,
}
