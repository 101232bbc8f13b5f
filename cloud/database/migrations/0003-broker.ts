import type { Migration } from '../migrate.ts'

export const broker: Migration = {
  number: 3,
  name: 'broker sessions',
  sql: `
    CREATE TABLE broker_subscriptions (
      client_id TEXT NOT NULL,
      topic TEXT NOT NULL,
      qos INTEGER NOT NULL,
      seen_at_ms INTEGER NOT NULL,
      PRIMARY KEY (client_id, topic)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX broker_subscriptions_by_age ON broker_subscriptions (seen_at_ms, client_id);

    CREATE TABLE broker_outgoing (
      position INTEGER PRIMARY KEY AUTOINCREMENT,
      client_id TEXT NOT NULL,
      broker_id TEXT NOT NULL,
      broker_counter INTEGER NOT NULL,
      message_id INTEGER,
      retained_from_ms INTEGER NOT NULL,
      packet TEXT NOT NULL,
      payload BLOB NOT NULL
    ) STRICT;
    CREATE INDEX broker_outgoing_by_counter ON broker_outgoing (client_id, broker_id, broker_counter);
    CREATE INDEX broker_outgoing_by_message ON broker_outgoing (client_id, message_id);
    CREATE INDEX broker_outgoing_by_age ON broker_outgoing (retained_from_ms);

    CREATE TABLE broker_retained (
      topic TEXT PRIMARY KEY,
      qos INTEGER NOT NULL,
      stored_at_ms INTEGER NOT NULL,
      payload BLOB NOT NULL
    ) STRICT;

    CREATE TABLE broker_wills (
      client_id TEXT PRIMARY KEY,
      broker_id TEXT NOT NULL,
      packet TEXT NOT NULL,
      payload BLOB NOT NULL
    ) STRICT;
  `,
}
