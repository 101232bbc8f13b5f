/**
 * The networks in the runtimes that could run them: the camera's (8 bits, and as they were trained), and OpenCV's DNN module beside it on the
 * convolutions that both can run.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { modelPaths } from '../../../edge/vision/models.ts'
import { openNetwork } from '../../../edge/vision/network.ts'
import { systemClock } from '../../../shared/clock.ts'
import { quantile } from '../statistics.ts'
import { runTraining } from './python.ts'

const WARM_UP = 5
const RUNS = 40

/** One picture of each network, px. */
const NETWORKS = {
  'plate-detector': { path: modelPaths().detector, heightPx: 384, widthPx: 640 },
  'plate-reader': { path: modelPaths().reader, heightPx: 48, widthPx: 160 },
} as const
type NetworkName = keyof typeof NETWORKS

export interface RuntimeScore {
  network: NetworkName
  threads: number
  /** Medians, ms a picture. */
  bytesMs: number
  singleMs: number
  convolutionsMs: number
  opencvConvolutionsMs: number
}

const opencvSchema = z.array(z.object({ network: z.string(), threads: z.int(), medianMs: z.number() }))

async function medianMs(path: string, threads: number, input: Float32Array | Buffer, shape: number[]): Promise<number> {
  const network = await openNetwork(path, threads)
  const times: number[] = []
  try {
    for (let i = 0; i < WARM_UP + RUNS; i++) {
      const before = systemClock.monotonicMs()
      await network.run(input, shape)
      if (i >= WARM_UP) times.push(systemClock.monotonicMs() - before)
    }
  } finally {
    await network.close()
  }
  return quantile(times, 0.5)
}

export async function measureRuntimes(): Promise<RuntimeScore[]> {
  const folder = await mkdtemp(join(tmpdir(), 'candor-bench-'))
  try {
    const printed = await runTraining('runtimes.py', [folder], 'install what scripts/train/README.md names')
    const opencv = opencvSchema.parse(JSON.parse(printed.trim().split('\n').at(-1) ?? ''))
    const scores: RuntimeScore[] = []
    for (const network of Object.keys(NETWORKS) as NetworkName[]) {
      const { path, heightPx, widthPx } = NETWORKS[network]
      const count = heightPx * widthPx * 3
      const bytes = Buffer.alloc(count, 0).map((_, i) => (i * 7919) & 255) as Buffer
      const bytesShape = [1, heightPx, widthPx, 3]
      const floats = Float32Array.from(bytes, (byte) => (byte - 127.5) / 64)
      for (const threads of [1, 2]) {
        scores.push({
          network,
          threads,
          bytesMs: await medianMs(path, threads, bytes, bytesShape),
          singleMs: await medianMs(join(folder, `${network}.onnx`), threads, bytes, bytesShape),
          convolutionsMs: await medianMs(join(folder, `${network}-plain.onnx`), threads, floats, [
            1,
            3,
            heightPx,
            widthPx,
          ]),
          opencvConvolutionsMs:
            opencv.find((row) => row.network === network && row.threads === threads)?.medianMs ?? Number.NaN,
        })
      }
    }
    return scores
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
