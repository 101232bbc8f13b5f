/**
 * Enrolment from the page: what was typed, pasted or picked becomes a claim, and edge/enrolment does the rest in the background, for as long
 * as it takes until somebody approves. Called by the routes; owns the one enrolment that runs.
 */
import type { Clock } from '../../shared/clock.ts'
import { AppError, describeError } from '../../shared/errors.ts'
import type { Random } from '../../shared/ids.ts'
import type { Log } from '../../shared/log.ts'
import { enrolUnit, readClaim, type UnitClaim } from '../enrolment/enrol.ts'
import type { UnitSettings } from '../enrolment/folder.ts'

export interface ClaimStatus {
  state: 'none' | 'asking' | 'waiting' | 'done' | 'failed'
  /** Of the unit's key, for who approves. */
  fingerprint: string | null
  camera: string | null
  problem: string | null
}

export interface SetupClaim {
  readonly status: ClaimStatus
  /** Takes the place of an enrolment that still waits. Throws `bad_input` for what is no claim. */
  start(typed: TypedClaim): Promise<void>
  close(): Promise<void>
}

export interface TypedClaim {
  /** The text of a claim's file, the command that `candor camera claim` prints, or the code alone. */
  text: string
  /** With the code alone: `https://host:port`, and SHA-256 of the certificate of its authority. */
  cloud?: string | undefined
  caSha256?: string | undefined
}

const SHA256 = /^([0-9a-f]{2}:?){32}$/i

/** Throws `bad_input`. */
export function claimOf({ text, cloud, caSha256 }: TypedClaim): UnitClaim {
  const option = (name: string) => new RegExp(`--${name}[ =]+(\\S+)`).exec(text)?.[1]
  const code = option('claim')
  const claim = readClaim(code ?? text.trim())
  if ('file' in claim) return claim.file
  const url = option('cloud') ?? cloud?.trim() ?? ''
  if (!URL.canParse(url) || new URL(url).protocol !== 'https:')
    throw new AppError('bad_input', 'with a code, the address of the cloud is needed, https://HOST:PORT')
  const pin = option('ca-sha256') ?? caSha256?.replace(/\s/g, '') ?? ''
  if (!SHA256.test(pin))
    throw new AppError('bad_input', 'with a code, the SHA-256 of the authority’s certificate is needed: 64 digits')
  return { code: claim.code, address: { url, trust: { caSha256: pin }, notBeforeMs: null }, expected: null }
}

export interface SetupClaimDeps {
  folder: string
  settings: UnitSettings
  clock: Clock
  random: Random
  log: Log
  /** The unit has its certificate and its configuration. */
  onDone(): void
}

export function createSetupClaim({ folder, settings, clock, random, log, onDone }: SetupClaimDeps): SetupClaim {
  const nothing: ClaimStatus = { state: 'none', fingerprint: null, camera: null, problem: null }
  let status = nothing
  let stop = new AbortController()
  let running: Promise<void> = Promise.resolve()

  async function run(claim: UnitClaim, signal: AbortSignal): Promise<void> {
    const set = (change: Partial<ClaimStatus>) => {
      if (!signal.aborted) status = { ...status, ...change }
    }
    try {
      const { camera } = await enrolUnit(
        { claim, folder, settings },
        {
          clock,
          random,
          onKey: (fingerprint) => set({ fingerprint }),
          onPending: (name) => set({ state: 'waiting', camera: name, problem: null }),
          onTrouble: (problem) => set({ problem }),
          onClockOff: (offMs) => log.warn('clock_off', { ageMs: offMs }),
        },
        signal,
      )
      if (signal.aborted) return
      onDone()
      set({ state: 'done', camera, problem: null })
      log.info('setup_enrolled', { cameraId: camera })
    } catch (thrown) {
      set({ state: 'failed', problem: describeError(thrown) })
    }
  }

  async function end(): Promise<void> {
    stop.abort()
    await running
  }

  return {
    get status() {
      return status
    },
    async start(typed) {
      const claim = claimOf(typed)
      if (status.state === 'done') throw new AppError('conflict', 'the unit is a camera already')
      await end()
      stop = new AbortController()
      status = { ...nothing, state: 'asking' }
      running = run(claim, stop.signal)
    },
    close: end,
  }
}
