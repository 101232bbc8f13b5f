/**
 * The cloud: wires every part, listens, and closes in order. `runCloud` is what the command, the demo and the tests run.
 * Nothing else builds parts.
 */
import { join } from 'node:path'
import { type Clock, systemClock } from '../shared/clock.ts'
import { toAppError } from '../shared/errors.ts'
import { newId, newSecret, random } from '../shared/ids.ts'
import { createLog, type Log } from '../shared/log.ts'
import { topics } from '../shared/topics.ts'
import { openLogin } from './accounts/opening.ts'
import { queuedFrom } from './alerts/document.ts'
import { raiseHistorical } from './alerts/historical.ts'
import { createOutcomes } from './alerts/outcomes.ts'
import { createAlertRules } from './alerts/rules.ts'
import { createAlerts } from './alerts.ts'
import { createApi } from './api/api.ts'
import { openAudit } from './audit/log.ts'
import { purgeAudit } from './audit/purge.ts'
import { createWitnesses } from './audit/witnesses.ts'
import { createAuthorityWatch } from './authority/watch.ts'
import { openAuthority } from './authority.ts'
import { createBackupUpkeep } from './backup/upkeep.ts'
import { type Broker, isOwnStatus, openBroker } from './broker.ts'
import { createCameras } from './cameras.ts'
import { type CloudConfig, cloudPaths, makeDataFolder } from './config.ts'
import { CONNECTION_LIMITS, type ConnectionLimits } from './connections.ts'
import { accountOf, cutOffWithTheirRights } from './cut-off.ts'
import { openSqlite } from './database/sqlite.ts'
import { createDenialAudit, type Denied } from './denials.ts'
import { createEnrolment } from './enrolment.ts'
import { createFirstRun } from './first-run.ts'
import { createFleet, noticeOf } from './fleet.ts'
import { createHolds } from './holds.ts'
import { createListMappings } from './hotlists/mappings.ts'
import { openPastCheck } from './hotlists/past.ts'
import { createHotlists } from './hotlists.ts'
import { createIngest } from './ingest.ts'
import { createKeyRotation } from './key-rotation.ts'
import { KEY_FILES, openKeys } from './keys.ts'
import { openListKeys } from './list-keys.ts'
import { closeAll, listen, portOf } from './listening.ts'
import { createMetrics } from './metrics.ts'
import type { CloudParts } from './parts.ts'
import { createPolicy } from './policy.ts'
import { createQuarantine } from './quarantine.ts'
import { createRenewals } from './renewals.ts'
import { createUpkeep, purgeExpired, type RetentionDeps, runRetention } from './retention.ts'
import { createReview } from './review.ts'
import { createRollOuts } from './roll-outs.ts'
import { openSearch } from './search.ts'
import { createServerRenewal } from './server-certificate.ts'
import { Sessions } from './sessions.ts'
import type { SharingLimits } from './sharing/wire.ts'
import { openSharing } from './sharing.ts'
import { createSightings } from './sightings.ts'
import { createSuppressions } from './suppressions.ts'
import { createTransparency } from './transparency.ts'
import { createUsage } from './usage.ts'
import { createWebhooks, WEBHOOK_LIMITS, type WebhookLimits } from './webhooks.ts'

const MEBIBYTE = 1024 ** 2

export interface CloudDeps {
  clock?: Clock
  log?: Log
  /** Tests bring smaller ones. */
  limits?: ConnectionLimits
  webhookLimits?: WebhookLimits
  sharingLimits?: SharingLimits
}

export interface RunningCloud {
  readonly mqttPort: number
  readonly httpsPort: number
  /** Where partners ask; null: nowhere. */
  readonly federationPort: number | null
  readonly caPem: string
  readonly parts: CloudParts
  /** Ends connections and loops, then closes the database; what was acknowledged is on disk. */
  close(): Promise<void>
}

/**
 * Starts the cloud. `base` is the folder that relative paths start from. Throws `configuration` for a folder that cannot be
 * written or a port in use, `integrity` when the audit is not what was signed.
 */
export async function runCloud(config: CloudConfig, base: string, deps: CloudDeps = {}): Promise<RunningCloud> {
  const clock = deps.clock ?? systemClock
  const log = deps.log ?? createLog({ level: config.logLevel, part: 'cloud' })
  const limits = deps.limits ?? CONNECTION_LIMITS
  const paths = cloudPaths(config, base)
  const { agency } = config
  makeDataFolder(paths.dataFolder)

  const database = openSqlite({
    path: paths.databaseFile,
    nowMs: clock.nowMs(),
    maxBytes: config.databaseMaxMebibytes === null ? null : config.databaseMaxMebibytes * MEBIBYTE,
    onMigrating: (migration, step, steps) => log.info('database_migrating', { migration, count: step, limit: steps }),
  })
  const closing: (() => Promise<unknown>)[] = [() => database.close()]
  try {
    const metrics = createMetrics()
    const authority = await openAuthority({ folder: paths.authorityFolder, agency, hostnames: config.hostnames, clock })
    const keys = await openKeys({ folder: paths.keysFolder, newSecret })
    const pageOrigin = () => config.pageOrigin ?? `https://${config.hostnames[0]}:${portOf(api.server)}`
    const login = await openLogin({ config, paths, database, clock, newId, newSecret, log, keys, pageOrigin })
    const { accounts } = login
    const auditLog = await openAudit({
      database,
      agency,
      headPath: paths.auditHeadFile,
      digestKey: keys.plateDigestKey,
      signer: keys.audit,
      isNew: await accounts.isEmpty(),
      clock,
      log,
    })
    closing.unshift(() => auditLog.close())
    const audit: typeof auditLog = {
      ...auditLog,
      append: (record) =>
        auditLog.append(record).catch((thrown: unknown) => {
          metrics.auditFailed()
          throw thrown
        }),
    }
    const cameras = await createCameras({ database, authority, agency, clock })
    const listKeys = await openListKeys({
      ...{ agency, newSecret, signer: keys.lists, audit, clock, log },
      file: join(paths.keysFolder, KEY_FILES.listDigest),
      publish: (...args) => broker.publish(...args),
    })
    const suppressions = await createSuppressions({ database, clock })
    const policy = await createPolicy({
      database,
      agency,
      signer: keys.lists,
      trusted: () => keys.signing.trusted,
      clock,
      retentionDays: config.retentionDays,
      upload: config.upload,
      profile: config.profile,
    })
    const enrolment = createEnrolment({
      ...{ database, authority, cameras, audit, clock, newId, newSecret },
      onAlarms(alarms) {
        metrics.claimAlarms(alarms)
        void fleet.checkClaims()
      },
      secondPerson: () => policy.current().secondPerson,
    })
    const hotlists = await createHotlists({
      ...{ database, agency, signer: keys.lists, keys: listKeys, isSuppressed: suppressions.has, clock, newId, log },
      policy: policy.current,
      onInForce: () => void pastCheck.run(),
    })
    const retention = () => policy.retention()
    const sightings = createSightings({ database, retention })
    const search = openSearch({ ...paths, agency, sightings, audit, policy, clock, log })
    closing.unshift(() => search.close())
    const quarantine = createQuarantine({
      ...{ database, newId, retention },
      withoutContent: () => policy.current().unmatchedInMemory,
    })
    const sessions = new Sessions({
      database,
      clock,
      keptMs: () => retention().matchedMs,
      retainedFrom: queuedFrom,
      mayKeep: (client, topic) => broker.hasFilter(client, topic),
      mayLeaveWill: (clientId, topic) => isOwnStatus(agency, clientId, topic),
      onDropped: (count) => metrics.queueDropped(count),
      accountOf: (clientId) => accountOf(agency, clientId),
      isConnected: (clientId) => broker.isConnected(clientId),
    })
    const webhooks = await createWebhooks({
      ...{ database, clock, log, random, newId, newSecret, audit, key: keys.webhookKey, counters: metrics.webhooks },
      caFile: paths.webhookCaFile,
      limits: deps.webhookLimits ?? WEBHOOK_LIMITS,
      pageOrigin,
      getAlert: (...args) => alerts.get(...args),
    })
    const alertRules = await createAlertRules({ database, clock })
    const alerts = createAlerts({
      ...{ database, agency, clock, log, newId, retention, audit, suppressions, webhooks },
      rules: alertRules,
      stored: (sightingId, cameraId) => sightings.get(sightingId, clock.nowMs(), cameraId),
      currentMatch: (read) => hotlists.match(read, clock.nowMs()),
      publish: (group, alert) =>
        broker.publish(topics.alerts(agency, group), Buffer.from(JSON.stringify(alert)), { qos: 1, retain: false }),
    })
    const holds = createHolds({
      ...{ database, clock, newId, sightings, getAlert: alerts.get, policy: policy.current },
      plateDigest: audit.plateDigest,
    })
    const pastCheck = openPastCheck({
      ...{ database, clock, newId, log, audit, sightings, match: hotlists.match },
      raise: (found) => raiseHistorical({ database, clock, alerts, sightings }, found),
    })
    closing.unshift(() => pastCheck.close())
    const usage = createUsage({ database, clock })
    const review = createReview({ database, usage, policy, clock, log, newId, onStatus: metrics.reviewOpen })
    const outcomes = createOutcomes({ database, clock })
    const transparency = createTransparency({
      ...{ database, agency, usage, review, policy, outcomes, hotlists, audit, signer: keys.audit, clock, log },
      organisations: () => sharing.organisations(),
    })
    const renewals = createRenewals({
      ...{ agency, cameras, authority, audit, clock, newId, log, onExpiring: metrics.certificatesExpiring },
      signer: keys.lists,
      publish: (...args) => broker.publish(...args),
      isConnected: (clientId) => broker.isConnected(clientId),
    })
    const authorityWatch = createAuthorityWatch({
      ...{ database, authority, cameras, audit, clock, log, onState: metrics.authority },
      queue: (notices) => webhooks.queueNotices(notices),
    })
    const rollOuts = createRollOuts({
      ...{ database, agency, cameras, audit, clock, newId, newSecret, log, signer: keys.lists },
      ...{ releasesFolder: paths.releasesFolder, onCounted: metrics.rollOuts },
      saidSettings: () => fleet.settings(),
      queue: (notices) => webhooks.queueNotices(notices),
      secondPerson: () => policy.current().secondPerson,
      httpsPort: () => portOf(api.server),
      publish: (...args) => broker.publish(...args),
      isConnected: (clientId) => broker.isConnected(clientId),
    })
    const fleet = await createFleet({
      ...{ database, agency, cameras, audit, clock, newId, log, metrics: metrics.fleet, config: config.fleet },
      queue: (alarms) => webhooks.queueNotices(alarms.map(noticeOf)),
      misusedClaims: enrolment.misused,
      publish: (alarm) =>
        broker.publish(topics.fleetAlarms(agency), Buffer.from(JSON.stringify(alarm)), { qos: 1, retain: false }),
    })
    const ingest = createIngest({
      ...{ database, usage, sightings, quarantine, alerts, cameras, fleet, rollOuts },
      onCertificateRequest: renewals.onRequest,
      match: hotlists.match,
      onListKeyRequest(camera, requestId, keyId) {
        // A camera that gets no answer asks again.
        listKeys.answer(camera, requestId, keyId).catch((thrown: unknown) => {
          log.error('list_key_not_given', { cameraId: camera, error: toAppError(thrown).message })
        })
      },
      retention,
      unmatchedInMemory: () => policy.current().unmatchedInMemory,
      clock,
      log,
      counters: metrics.ingest,
    })
    const rotation = { keys: keys.signing, agency, policy, hotlists, cameras, audit, clock, log }
    const keyRotation = createKeyRotation({ ...rotation, retained: (topic) => sessions.retained(topic) })
    const denials = createDenialAudit({ audit, clock, log })
    const onDenied = (denied: Denied) => {
      metrics.denied(denied.rule)
      denials.note(denied)
    }
    const broker: Broker = await openBroker({
      agency,
      tls: { key: authority.serverKeyPem, cert: authority.serverCertPem, ca: authority.trustedPem },
      ...{ cameras, takeOver: enrolment.takeOver },
      authenticate: accounts.authenticate,
      isAccount: async (name) => (await accounts.find(name)) !== null,
      limits,
      sessions,
      ingest,
      sealing: keys.sealing,
      ...{ clock, log, onFailed: metrics.brokerFailed },
      onDenied,
      async onWatch({ account, sessionId }) {
        const roles = (await accounts.find(account))?.roles ?? []
        const actor = { account, roles: [...roles], session: sessionId, source: null }
        await audit.append({ operation: 'sightings.watched', outcome: 'allowed', actor })
      },
      onConnection: metrics.connection,
    })
    closing.unshift(
      () => fleet.settled(),
      () => broker.close(),
      () => sessions.settled(),
    )

    const cutOff = cutOffWithTheirRights({ agency, accounts, cameras, broker, sessions, alerts, log })

    const sharing = await openSharing({
      ...{ database, agency, authority, audit, policy, sightings, config, clock, newId, log },
      ...{ search, onDenied },
      ...{ connectionLimits: limits, limits: deps.sharingLimits },
    })
    closing.unshift(() => sharing.close())

    const parts: CloudParts = {
      ...{ agency, clock, newId, log, database, authority, authorityWatch },
      ...{ keys, keyRotation, audit },
      witnesses: createWitnesses({ database, audit, agency, clock }),
      auditFiles: { database: paths.databaseFile, head: paths.auditHeadFile },
      ...login,
      denials,
      ...{ cameras, enrolment, renewals, fleet, rollOuts },
      hotlists,
      listMappings: createListMappings({ database, clock }),
      suppressions,
      policy,
      ...{ usage, review, transparency, sightings, search },
      ...{ alerts, holds, webhooks, alertRules, outcomes },
      ...{ quarantine, sharing, broker, metrics },
      mqttPort: () => portOf(broker.mqttServer),
      firstRun: createFirstRun({ file: paths.setupCodeFile, accounts, newSecret }),
    }
    const api = await createApi(parts, limits)
    closing.unshift(() => api.close())
    api.server.on('upgrade', broker.upgrade)

    // What the last run committed and did not publish goes out before anybody connects.
    await keyRotation.publishCurrent(broker.publish)
    await policy.publishCurrent(broker.publish)
    await hotlists.publishCurrent(broker.publish)
    await alerts.publishPending()

    const ending = new AbortController()
    const backupKeys = createBackupUpkeep({ config, paths, policy: policy.current, audit, clock })
    const retentionDeps: RetentionDeps = {
      database,
      sightings,
      alerts,
      quarantine,
      sessions,
      entries: hotlists.entries,
      holds,
      retention,
      upkeep: createUpkeep(
        {
          certificate: createServerRenewal({ authority, broker, httpsServer: api.server, metrics, log }),
          accounts: accounts.endExpired,
          connections: cutOff.endLeft,
          denials: denials.flush,
          suppressions: () => suppressions.purge(clock.nowMs()),
          alerts: cutOff.releaseAlerts,
          audit: () => purgeAudit({ database, audit, clock, log }, policy.current().audit.days),
          hotlists: hotlists.upkeep,
          past: pastCheck.run,
          signingKeys: keyRotation.upkeep,
          backupKeys: backupKeys.upkeep,
          enrolment: enrolment.upkeep,
          fleet: fleet.upkeep,
          renewals: renewals.upkeep,
          authority: authorityWatch.upkeep,
          rollOuts: rollOuts.upkeep,
          releases: rollOuts.releases.upkeep,
          review: review.upkeep,
          transparency: transparency.upkeep,
          sharing: sharing.upkeep,
          certificates: () => broker.endExpired(clock.nowMs()),
          wills: broker.publishLeftWills,
        },
        log,
      ),
      audit,
      metrics,
      clock,
      log,
    }
    await backupKeys.afterRestore((signal) => purgeExpired(retentionDeps, signal), ending.signal)
    const loops = [runRetention(retentionDeps, ending.signal), alerts.runDue(ending.signal)]
    closing.unshift(async () => {
      ending.abort()
      await Promise.all(loops)
      await denials.flush()
    })

    await listen(broker.mqttServer, config.mqttPort, config.host)
    await listen(api.server, config.httpsPort, config.host)
    await sharing.listen()
    const mqttPort = portOf(broker.mqttServer)
    const httpsPort = portOf(api.server)
    // Only now does the address of the page, which they name, have its port.
    const deliveries = webhooks.run(ending.signal)
    closing.unshift(async () => {
      ending.abort()
      await deliveries
    })
    log.info('cloud_started', { port: mqttPort, url: `https://${config.hostnames[0]}:${httpsPort}/` })
    const federationPort = sharing.port
    return { mqttPort, httpsPort, federationPort, caPem: authority.caPem, parts, close: () => closeAll(closing, log) }
  } catch (thrown) {
    await closeAll(closing, log)
    throw thrown
  }
}
