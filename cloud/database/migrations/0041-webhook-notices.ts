import type { Migration } from '../migrate.ts'

/** What webhooks are told besides alerts: alarms about cameras. */
export const webhookNotices: Migration = {
  number: 41,
  name: 'webhook notices',
  sql: `
    ALTER TABLE webhooks ADD COLUMN notice_kinds TEXT NOT NULL DEFAULT '[]';
    CREATE TABLE webhook_notices (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      webhook TEXT NOT NULL REFERENCES webhooks (webhook) ON DELETE CASCADE,
      kind TEXT NOT NULL,
      notice_id TEXT NOT NULL,
      revision INTEGER NOT NULL,
      document TEXT NOT NULL,
      delivery_id TEXT NOT NULL,
      queued_at_ms INTEGER NOT NULL,
      attempts INTEGER NOT NULL,
      next_at_ms INTEGER NOT NULL,
      UNIQUE (webhook, kind, notice_id)
    ) STRICT;
    CREATE INDEX webhook_notices_in_order ON webhook_notices (webhook, position);
    CREATE INDEX webhook_notices_due ON webhook_notices (webhook, next_at_ms, position);
    CREATE INDEX webhook_notices_failed ON webhook_notices (webhook) WHERE attempts > 0;
  `,
}
