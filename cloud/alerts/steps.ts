/** The rules of an alert's life: which step may follow, and what the audit says of it. Pure. */
import { AppError } from '../../shared/errors.ts'
import { normalisePlate, patternToRegExp } from '../../shared/plate.ts'
import { type Alert, type AlertStep, CLOSING_OUTCOMES, NEXT_STATE, STATE_BEFORE } from '../../shared/wire/index.ts'
import type { Actor, AuditRecord } from '../audit/entry.ts'
import { withoutPlates } from '../audit/plates.ts'
import type { Suppression } from '../suppressions.ts'

/** Who takes a step: what the audit writes down, and the groups whose alerts the person may see. */
export interface AlertActor {
  actor: Actor
  account: string
  groups: readonly string[]
}

/** The alert after the step. Throws `conflict` when it may not be taken: another revision, wrong order, another plate. */
export function planStep(alert: Alert, step: AlertStep, nowMs: number, account: string): Alert {
  // What only added to its trail or told further groups changes nothing of what the person saw.
  if (step.revision < alert.basisRevision || step.revision > alert.revision) {
    throw new AppError('conflict', `the alert is at revision ${alert.revision}, not ${step.revision}`, {
      hint: 'look at the alert again, then repeat the step',
    })
  }
  const revision = alert.revision + 1
  const changed: Alert = {
    ...alert,
    ...{ revision, basisRevision: revision, updatedAtMs: nowMs, updatedBy: account },
    // Who takes a step on what nobody has works on it.
    ...(alert.acknowledgedBy === null ? { acknowledgedBy: account, acknowledgedAtMs: nowMs } : {}),
  }
  if (step.step === 'acknowledged' || step.step === 'released') {
    return { ...changed, ...holderAfter(alert, step.step, account, nowMs) }
  }
  if (step.step === 'closed') {
    if (!CLOSING_OUTCOMES[alert.state].includes(step.outcome)) {
      const allowed = CLOSING_OUTCOMES[alert.state]
      throw new AppError('conflict', `an alert that is ${alert.state} cannot be closed as ${step.outcome}`, {
        hint: allowed.length === 0 ? 'it is closed already' : `possible: ${allowed.join(', ')}`,
      })
    }
    if (step.outcome === 'misread' && isListed(alert, step.correctPlate ?? null)) {
      throw new AppError('conflict', 'the plate that you read is the listed one: that is no misread', {
        hint: 'compare the picture, or correct what you typed',
      })
    }
    if (step.suppressForMs != null && step.outcome !== 'cleared') {
      throw new AppError('conflict', 'only an entry that was cleared can be kept from raising alerts')
    }
    if (step.suppressForMs != null && alert.match.kind === 'wildcard') {
      throw new AppError('conflict', 'a pattern means other vehicles too: it cannot be kept from raising alerts', {
        hint: 'have it narrowed on its list',
      })
    }
    return { ...changed, state: 'closed', outcome: step.outcome }
  }
  if (step.step === 'taken_back') {
    const before = STATE_BEFORE[alert.state]
    if (before === null) throw new AppError('conflict', 'no step has been taken that could be taken back')
    return { ...changed, state: before, outcome: null, acknowledgedBy: account, acknowledgedAtMs: nowMs }
  }
  const next = NEXT_STATE[alert.state]
  if (next !== step.step) {
    throw new AppError('conflict', `${step.step} does not follow ${alert.state}`, {
      hint: next === null ? 'close it with its outcome' : `the next step is ${next}`,
    })
  }
  if (step.step === 'image_compared') checkComparison(alert, step)
  return { ...changed, state: step.step }
}

/** Who has the alert after it was taken, or let go by who had it. Another takes it over. Throws `conflict`. */
function holderAfter(
  alert: Alert,
  step: 'acknowledged' | 'released',
  account: string,
  nowMs: number,
): Pick<Alert, 'acknowledgedBy' | 'acknowledgedAtMs'> {
  if (alert.state === 'closed') throw new AppError('conflict', 'the alert is closed')
  if (step === 'acknowledged') {
    if (alert.acknowledgedBy === account) throw new AppError('conflict', 'you have this alert already')
    return { acknowledgedBy: account, acknowledgedAtMs: nowMs }
  }
  if (alert.acknowledgedBy !== account) {
    throw new AppError('conflict', 'only who has an alert can release it', {
      hint: alert.acknowledgedBy === null ? 'nobody has it' : 'take it over instead',
    })
  }
  return { acknowledgedBy: null, acknowledgedAtMs: null }
}

function isListed({ match: { kind, listedPlate } }: Alert, plate: string | null): boolean {
  return kind === 'wildcard' ? plate !== null && patternToRegExp(listedPlate).test(plate) : plate === listedPlate
}

/** The officer's own reading of the picture decides, not the machine's. Throws `conflict` with what to do instead. */
function checkComparison(alert: Alert, step: AlertStep & { step: 'image_compared' }): void {
  if (!isListed(alert, normalisePlate(step.plateSeen))) {
    throw new AppError('conflict', 'the plate you read in the picture is not the listed one', {
      hint: 'look again and correct a slip, or close the alert as misread',
    })
  }
  const { listedJurisdiction } = alert.match
  if (listedJurisdiction !== null && step.jurisdictionSeen !== null && step.jurisdictionSeen !== listedJurisdiction) {
    throw new AppError('conflict', 'the plate is of another jurisdiction than the listed one', {
      hint: 'close the alert as wrong_jurisdiction',
    })
  }
}

/** What a step that clears an alert keeps its entry from, if it does. */
export function suppressionOf(alert: Alert, step: AlertStep, account: string, nowMs: number): Suppression | null {
  if (step.step !== 'closed' || step.suppressForMs == null) return null
  const { list, entryId } = alert.match
  const untilMs = nowMs + step.suppressForMs
  return { list, entryId, untilMs, madeAtMs: nowMs, madeBy: account, alertId: alert.alertId }
}

/** What the audit says of a step: what was typed, with plates as their keyed digests. */
export function auditOf(
  alert: Alert,
  step: AlertStep,
  by: AlertActor,
  plateDigest: (plate: string) => string,
): AuditRecord {
  const plates = [
    alert.match.listedPlate,
    alert.sighting.plate,
    ...alert.trail.map(({ plate }) => plate),
    step.step === 'closed' ? (step.correctPlate ?? null) : null,
  ]
  const text = (typed: string) => withoutPlates(typed, plates, plateDigest)
  const detail: Record<string, string | number> = { from: alert.state, revision: alert.revision }
  if (step.step === 'image_compared') {
    detail.plateSeen = plateDigest(normalisePlate(step.plateSeen) ?? step.plateSeen)
    if (step.jurisdictionSeen !== null) detail.jurisdictionSeen = step.jurisdictionSeen
  }
  if (step.step === 'source_confirmed') {
    detail.confirmedWith = text(step.confirmedWith)
    detail.result = text(step.result)
  }
  if (step.step === 'acknowledged' && alert.acknowledgedBy !== null) detail.takenFrom = alert.acknowledgedBy
  if (step.step === 'taken_back') detail.reason = text(step.reason)
  if (step.step === 'closed') {
    detail.outcome = step.outcome
    detail.note = text(step.note)
    if (step.correctPlate != null) detail.correctPlate = plateDigest(step.correctPlate)
    if (step.suppressForMs != null) detail.suppressForMs = step.suppressForMs
  }
  return {
    operation: `alert.${step.step}`,
    outcome: 'allowed',
    actor: by.actor,
    subject: { kind: 'alert', id: alert.alertId },
    detail,
  }
}
