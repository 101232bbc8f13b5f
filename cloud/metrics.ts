/** Prometheus metrics of the cloud: made here, counted by the parts through small functions, served at /metrics. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { ALARM_KINDS, type AlarmKind } from '../shared/wire/index.ts'
import type { AuthorityState } from './authority/watch.ts'
import type { Denial } from './denials.ts'
import type { IngestCounters } from './ingest.ts'
import type { PurgeClass } from './purge-receipt.ts'

export interface Metrics {
  readonly ingest: IngestCounters
  denied(rule: Denial): void
  connection(change: 1 | -1, kind: 'camera' | 'person'): void
  queueDropped(count: number): void
  purged(table: PurgeClass, count: number): void
  readonly webhooks: {
    attempt(outcome: 'delivered' | 'failed'): void
    dropped(count: number): void
    /** How many webhooks fail now. */
    failing(webhooks: number): void
  }
  /** Findings of the review of use that nobody has decided. */
  reviewOpen(findings: { open: number; overdue: number }): void
  auditFailed(): void
  brokerFailed(): void
  /** Claims that a second key has used, and that nobody has said to have seen. */
  claimAlarms(alarms: number): void
  /** Alarms about cameras. */
  readonly fleet: {
    alarmsOpen(open: Record<string, number>): void
    alarmRaised(kind: AlarmKind): void
  }
  /** Cameras whose certificate ends within so many days; 0: it has ended. */
  certificatesExpiring(cameras: Record<string, number>): void
  /** Roll-outs that stopped because too many cameras went wrong, and those that run and have not moved for too long. */
  rollOuts(counted: { halted: number; still: number }): void
  /** When the server's certificate runs out, milliseconds since 1970 UTC. */
  serverCertificate(expiresAtMs: number): void
  authority(state: AuthorityState): void
  /** The text that Prometheus reads, with its content type. */
  render(): Promise<{ contentType: string; text: string }>
}

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'candor_' })
  const registers = [registry]
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `candor_${name}`, help, labelNames, registers })

  const arrivals = counter('ingest_arrivals_total', 'publishes of cameras by kind and outcome', ['kind', 'outcome'])
  const quarantined = counter('ingest_quarantined_total', 'publishes that can never be valid', ['reason'])
  const failed = counter('ingest_failed_batches_total', 'transactions that failed; nothing of them was acknowledged', [
    'code',
  ])
  const raised = counter('alerts_raised_total', 'alerts by kind of match', ['kind'])
  const joined = counter(
    'alert_sightings_total',
    'sightings that joined an open alert: in its trail, or only counted',
    ['as'],
  )
  const disagreed = counter('match_disagreements_total', 'sightings that camera and cloud matched differently')
  const marked = counter('clock_marked_total', 'sightings of a camera whose clock is not to be trusted')
  const denied = counter('denied_total', 'refused connections, publishes and subscriptions', ['rule'])
  const dropped = counter('queue_dropped_total', 'publishes dropped from the full queue of an offline session')
  const purged = counter('purged_total', 'rows deleted because their retention ended', ['table'])
  const auditFailures = counter('audit_failures_total', 'audit entries that could not be written')
  const brokerFailures = counter('broker_failures_total', 'faults inside the broker, such as a Will that found no room')
  const webhookAttempts = counter('webhook_attempts_total', 'deliveries tried, by outcome', ['outcome'])
  const webhookDropped = counter('webhook_dropped_total', 'alerts dropped from the full queue of a webhook')
  const webhooksFailing = new Gauge({
    name: 'candor_webhooks_failing',
    help: 'webhooks with an alert that could not be delivered yet',
    registers,
  })
  const findings = new Gauge({
    name: 'candor_review_findings',
    help: 'findings of the review of use that nobody has decided; overdue: for longer than a period',
    labelNames: ['state'],
    registers,
  })
  const connections = new Gauge({
    name: 'candor_connections',
    help: 'MQTT connections',
    labelNames: ['kind'],
    registers,
  })
  const certificateExpiry = new Gauge({
    name: 'candor_server_certificate_expires_seconds',
    help: 'when the certificate of broker and page runs out, seconds since 1970 UTC; it is renewed 30 days before',
    registers,
  })
  const authorityExpiry = new Gauge({
    name: 'candor_authority_expires_seconds',
    help: 'when the certificate authority itself runs out, seconds since 1970 UTC; nothing renews it: it is replaced by a rotation',
    registers,
  })
  const rotationStalled = new Gauge({
    name: 'candor_authority_rotation_stalled',
    help: '1: a rotation of the authority is not over two weeks after its last step',
    registers,
  })
  const authorityBehind = new Gauge({
    name: 'candor_authority_cameras_behind',
    help: 'cameras that have not followed the last step of a rotation of the authority',
    registers,
  })
  const expiring = new Gauge({
    name: 'candor_camera_certificates_expiring',
    help: 'cameras whose certificate ends within 30, 7 or 1 days, each counted once; 0: it has ended',
    labelNames: ['days'],
    registers,
  })
  const cameraAlarms = new Gauge({
    name: 'candor_camera_alarms',
    help: 'open alarms about cameras, by kind',
    labelNames: ['kind'],
    registers,
  })
  const cameraAlarmsRaised = counter('camera_alarms_raised_total', 'alarms about cameras, by kind', ['kind'])
  const claimAlarms = new Gauge({
    name: 'candor_claim_alarms',
    help: 'claims of camera units that a second key has used: somebody else had the code',
    registers,
  })
  const halted = new Gauge({
    name: 'candor_roll_outs_halted',
    help: 'roll-outs that stopped because too many cameras went wrong',
    registers,
  })
  const still = new Gauge({
    name: 'candor_roll_outs_still',
    help: 'roll-outs that run and in which no camera and no stage has moved for a day',
    registers,
  })
  const batchSize = new Histogram({
    name: 'candor_ingest_batch_size',
    help: 'publishes in one transaction',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  })
  const batchSeconds = new Histogram({
    name: 'candor_ingest_batch_seconds',
    help: 'from the first publish of a batch to its commit',
    buckets: [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1],
    registers,
  })

  return {
    ingest: {
      outcome: (kind, outcome) => arrivals.inc({ kind, outcome }),
      quarantined: (reason) => quarantined.inc({ reason }),
      quarantinePurged: (count) => purged.inc({ table: 'quarantine' }, count),
      batch: (size, durationMs) => {
        batchSize.observe(size)
        batchSeconds.observe(durationMs / 1_000)
      },
      failed: (code) => failed.inc({ code }),
      alertRaised: (kind) => raised.inc({ kind }),
      alertJoined: (as) => joined.inc({ as }),
      disagreement: () => disagreed.inc(),
      clockMarked: () => marked.inc(),
    },
    denied: (rule) => denied.inc({ rule }),
    connection: (change, kind) => connections.inc({ kind }, change),
    queueDropped: (count) => dropped.inc(count),
    purged: (table, count) => purged.inc({ table }, count),
    webhooks: {
      attempt: (outcome) => webhookAttempts.inc({ outcome }),
      dropped: (count) => webhookDropped.inc(count),
      failing: (webhooks) => webhooksFailing.set(webhooks),
    },
    reviewOpen: ({ open, overdue }) => {
      findings.set({ state: 'open' }, open)
      findings.set({ state: 'overdue' }, overdue)
    },
    auditFailed: () => auditFailures.inc(),
    brokerFailed: () => brokerFailures.inc(),
    certificatesExpiring(cameras) {
      for (const [days, count] of Object.entries(cameras)) expiring.set({ days }, count)
    },
    fleet: {
      alarmsOpen(open) {
        for (const kind of ALARM_KINDS) cameraAlarms.set({ kind }, open[kind] ?? 0)
      },
      alarmRaised: (kind) => cameraAlarmsRaised.inc({ kind }),
    },
    claimAlarms: (alarms) => claimAlarms.set(alarms),
    rollOuts(counted) {
      halted.set(counted.halted)
      still.set(counted.still)
    },
    serverCertificate: (expiresAtMs) => certificateExpiry.set(expiresAtMs / 1_000),
    authority({ expiresAtMs, rotation }) {
      authorityExpiry.set(expiresAtMs / 1_000)
      rotationStalled.set(rotation?.stalled === true ? 1 : 0)
      authorityBehind.set(rotation?.behind ?? 0)
    },
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}
