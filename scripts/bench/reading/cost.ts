/** What reading costs: time for one frame on one thread, bytes of the networks, memory of the whole camera. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { z } from 'zod'
import type { VisionConfig } from '../../../edge/vision/types.ts'
import { quantile } from '../statistics.ts'
import { openBenchVision } from './sets.ts'

const SCENE = fileURLToPath(new URL('../../sample-scenes/pictures/scene-002.jpg', import.meta.url))
const MODELS = fileURLToPath(new URL('../../../edge/vision/models/', import.meta.url))
const FRAME = { width: 1280, height: 720 } as const
const WARM_UP = 10
const FRAMES = 60

export interface CostScore {
  /** Stages after decoding, one thread, ms. */
  medianMs: number
  p95Ms: number
  /** Of which. */
  stagesMs: Record<string, number>
  weightsBytes: number
  /** One run of the detector and LOOKS_A_PLATE of the reader; places that turn out to be no plate cost a look each and are not in it. */
  multiplyAdds: number
}

/** At most. */
export const LOOKS_A_PLATE = 3
const sizeSchema = z.object({ multiplyAdds: z.int() })

/**
 * Millions of multiply-adds that one core does in a millisecond with onnxruntime, taken as half of what its vector units can do: a
 * Cortex-A72 at 1.8 GHz (Pi 4) has one 128-bit pipe, 4 multiply-adds a cycle; a Cortex-A76 at 2.4 GHz (Pi 5) has two [Arm, Cortex-A72
 * and A76 Software Optimization Guides]. An estimate: nothing here was run on either.
 */
export const PI_MULTIPLY_ADDS_A_MS = { 'Pi 4': 0.5 * 1.8e6 * 4, 'Pi 5': 0.5 * 2.4e6 * 8 } as const

async function multiplyAdds(): Promise<number> {
  const of = async (name: string) =>
    sizeSchema.parse(JSON.parse(await readFile(`${MODELS}${name}.json`, 'utf8'))).multiplyAdds
  return (await of('plate-detector')) + LOOKS_A_PLATE * (await of('plate-reader'))
}

/** One 1280×720 frame with one plate, again and again. */
export async function measureCost(config: VisionConfig): Promise<CostScore> {
  const frame = await sharp(SCENE).resize(FRAME.width, FRAME.height, { fit: 'cover' }).jpeg({ quality: 92 }).toBuffer()
  const vision = await openBenchVision({ ...config, threads: 1 })
  const times: number[] = []
  const stages = new Map<string, number[]>()
  try {
    for (let i = 0; i < WARM_UP + FRAMES; i++) {
      const { stagesMs } = await vision.read(frame)
      if (i < WARM_UP) continue
      times.push(Object.entries(stagesMs).reduce((sum, [name, ms]) => (name === 'decode' ? sum : sum + ms), 0))
      for (const [name, ms] of Object.entries(stagesMs)) stages.set(name, [...(stages.get(name) ?? []), ms])
    }
  } finally {
    await vision.close()
  }
  return {
    medianMs: quantile(times, 0.5),
    p95Ms: quantile(times, 0.95),
    stagesMs: Object.fromEntries([...stages].map(([name, ms]) => [name, quantile(ms, 0.5)])),
    weightsBytes: await weightsBytes(),
    multiplyAdds: await multiplyAdds(),
  }
}

/** Of the project's own networks, as the camera loads them. */
export async function weightsBytes(): Promise<number> {
  const files = (await readdir(MODELS)).filter((name) => name.endsWith('.onnx'))
  const sizes = await Promise.all(files.map((name) => stat(`${MODELS}${name}`)))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}

/** Proportional set size of a process and all its children, bytes [proc(5), smaps_rollup]. */
export async function treePss(pid: number): Promise<number> {
  let kilobytes = 0
  const waiting = [pid]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const rollup = await readFile(`/proc/${next}/smaps_rollup`, 'utf8').catch(() => '')
    kilobytes += Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0)
    for (const thread of await readdir(`/proc/${next}/task`).catch(() => [])) {
      const children = await readFile(`/proc/${next}/task/${thread}/children`, 'utf8').catch(() => '')
      waiting.push(...children.trim().split(' ').filter(Boolean).map(Number))
    }
  }
  return kilobytes * 1024
}
