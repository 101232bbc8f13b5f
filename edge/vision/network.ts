/** Neural networks in the ONNX format, run on the processor. The only importer of onnxruntime-node. */
// Must come first, which the order of imports is for.
import './no-telemetry.ts'
import { InferenceSession, Tensor } from 'onnxruntime-node'

export interface NetworkOutput {
  values: Float32Array
  shape: readonly number[]
}

export interface Network {
  /** Runs the network of one input on floats, or bytes where it takes those, of the given shape; its outputs in their order. */
  run(values: Float32Array | Buffer, shape: readonly number[]): Promise<[NetworkOutput, ...NetworkOutput[]]>
  close(): Promise<void>
}

export async function openNetwork(path: string, threads: number): Promise<Network> {
  const session = await InferenceSession.create(path, {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    // Pictures differ in size: an arena would grow to the largest of each tensor and keep it.
    enableCpuMemArena: false,
    enableMemPattern: false,
    logSeverityLevel: 3,
  })
  const input = session.inputNames[0]
  if (input === undefined || session.outputNames.length === 0) throw new Error('the network has no input or no output')
  return {
    async run(values, shape) {
      const tensorIn =
        values instanceof Float32Array
          ? new Tensor('float32', values, [...shape])
          : new Tensor('uint8', values, [...shape])
      const results = await session.run({ [input]: tensorIn })
      const outputs = session.outputNames.map((name) => {
        const tensor = results[name]
        if (tensor === undefined || !(tensor.data instanceof Float32Array))
          throw new Error('the network gave no floats')
        return { values: tensor.data, shape: tensor.dims }
      })
      return outputs as [NetworkOutput, ...NetworkOutput[]]
    },
    async close() {
      await session.release()
    },
  }
}
