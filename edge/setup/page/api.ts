/** The unit's side as the page sees it: what it gives, and one function for each request. Used by all of the page. */
import type { Polygon } from '../../../shared/polygon.ts'

export interface View {
  region: Polygon | null
  masks: Polygon[]
}

export interface Read {
  plate: string | null
  confidence: number
  region: { x: number; y: number; width: number; height: number }
  corners?: { x: number; y: number }[]
  jurisdiction: string | null
}

export interface Look {
  seq: number
  widthPx: number
  heightPx: number
  sharpness: number | null
  reads: Read[]
  elapsedMs: number
  ageMs: number
  jpeg: Blob
}

export interface Night {
  fromUtc: string
  toUtc: string
  settings: Record<string, string | number>
}

export interface OfferedSetting {
  name: string
  label: string
  value: string
  choices: string[] | null
}

export type Exposure =
  | { kind: 'rpicam'; settings: Record<string, string | number>; night: Night | null }
  | {
      kind: 'gphoto2'
      settings: Record<string, string>
      night: Night | null
      offered: OfferedSetting[] | null
      refused: string[]
    }
  | { kind: 'none'; why: string }

export interface ClaimStatus {
  state: 'none' | 'asking' | 'waiting' | 'done' | 'failed'
  fingerprint: string | null
  camera: string | null
  problem: string | null
}

export interface State {
  software: string
  camera: { agency: string; cameraId: string } | null
  source: {
    kind: string
    address?: string
    hasLogin?: boolean
    rotation?: number
    capture?: string
    port?: string | null
  } | null
  /** Bodies on USB. */
  bodies: { port: string; name: string; serialNumber: string | null }[]
  live: { state: 'opening' | 'delivering' | 'lost'; errorCode: string | null } | null
  problem: string | null
  exposure: Exposure
  view: View
  claim: ClaimStatus
  idleLeftMs: number | null
  plateWidthPx: { least: number; good: number }
  limits: { masks: number; points: number }
}

export interface Finding {
  name: string
  /** null: it could not be checked. */
  ok: boolean | null
  detail: string
  hint: string | null
}

export class ApiError extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** A unit that is gone, or a network that is. */
const NOT_REACHED = 'The unit does not answer. Is the phone still in its network?'

async function ask(method: 'GET' | 'POST', path: string, json?: unknown): Promise<Response> {
  let response: Response
  try {
    response = await fetch(path, {
      ...{ method, credentials: 'same-origin', cache: 'no-store', redirect: 'error' },
      ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }),
    })
  } catch {
    throw new ApiError(0, NOT_REACHED)
  }
  if (response.ok) return response
  const answer = (await response.json().catch(() => null)) as { error?: { message?: string; hint?: string } } | null
  const { message = `The unit answers ${response.status}.`, hint } = answer?.error ?? {}
  throw new ApiError(response.status, hint === undefined || hint === null ? message : `${message} (${hint})`)
}

const post = async (path: string, json: unknown = {}): Promise<void> => void (await ask('POST', path, json))

export const logIn = (code: string) => post('/api/login', { code })
export const logOut = () => post('/api/logout')
export const here = () => post('/api/here')
export const state = async (): Promise<State> => (await ask('GET', '/api/state')).json() as Promise<State>
export const setView = (view: View) => post('/api/view', view)
export const setExposure = (settings: unknown, night: unknown) => post('/api/exposure', { settings, night })
export const setSource = (source: unknown) => post('/api/source', source)
export const claim = (typed: { text: string; cloud?: string; caSha256?: string }) => post('/api/claim', typed)
export const finish = () => post('/api/finish')
export const checks = async (): Promise<Finding[]> => {
  const answer = (await (await ask('POST', '/api/checks', {})).json()) as { findings: Finding[] }
  return answer.findings
}

/** Waits for a picture newer than `after`; null: there was none for some seconds. Length, JSON, JPEG. */
export async function look(after: number): Promise<Look | null> {
  const response = await ask('GET', `/api/look?after=${after}`)
  if (response.status === 204) return null
  const bytes = await response.arrayBuffer()
  const length = new DataView(bytes).getUint32(0)
  const rest = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length))) as Omit<Look, 'jpeg'>
  return { ...rest, jpeg: new Blob([new Uint8Array(bytes, 4 + length)], { type: 'image/jpeg' }) }
}
