/** Cameras of a measurement, as far as the cloud can tell: enrolled, over mutual TLS, with sightings as cameras send them. */
import { join } from 'node:path'
import { connectAsync, type MqttClient } from 'mqtt'
import { newId } from '../../shared/ids.ts'
import type { Sighting } from '../../shared/wire/index.ts'
import { type CameraFiles, enrolCamera } from '../trial/cameras.ts'
import type { TrialCloud } from '../trial/cloud.ts'

export interface BenchCamera {
  name: string
  files: CameraFiles
}

export async function enrolCameras(trial: TrialCloud, count: number): Promise<BenchCamera[]> {
  const cameras: BenchCamera[] = []
  for (let index = 0; index < count; index += 1) {
    const name = `camera-${index}`
    const folder = join(trial.folder, 'cameras', name)
    cameras.push({ name, files: await enrolCamera(trial.https, trial.administratorToken, name, folder) })
  }
  return cameras
}

export function connectCamera(agency: string, { name, files }: BenchCamera, port: number): Promise<MqttClient> {
  return connectAsync(`mqtts://localhost:${port}`, {
    clientId: `${agency}.${name}`,
    protocolVersion: 4,
    key: files.keyPem,
    cert: files.certificatePem,
    ca: files.caPem,
    reconnectPeriod: 0,
  })
}

/** As a camera sends it: final, unmatched, with the usual few candidates; a plate that no list has unless one is given. */
export function sightingOf(camera: string, listed?: string): Sighting {
  const sightingId = newId()
  const plate = listed ?? `B${sightingId.slice(-6).toUpperCase()}`
  return {
    sightingId,
    revision: 1,
    cameraId: camera,
    capturedAtMs: Date.now(),
    clock: 'synced',
    plate,
    confidence: 0.94,
    candidates: [
      { plate, confidence: 0.94 },
      { plate: `8${plate.slice(1)}`, confidence: 0.31 },
    ],
    jurisdiction: null,
    region: { x: 512.5, y: 420.25, width: 118, height: 40.5 },
    frames: 4,
    match: null,
    crop: null,
    versions: { software: '0.1.0', detector: 'ppocr', reader: 'ppocr' },
  }
}
