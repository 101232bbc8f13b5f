/** Neural networks in the ONNX format, run on the processor. The only importer of onnxruntime-node. */
import { InferenceSession, Tensor } from 'onnxruntime-node'

export interface NetworkOutput {
  values: Float32Array
  shape: readonly number[]
}

export interface Network {
  /** Runs the network of one input and one output on floats, or bytes where it takes those, of the given shape. */
  run(values: Float32Array | Buffer, shape: readonly number[]): Promise<NetworkOutput>
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
  const output = session.outputNames[0]
  if (input === undefined || output === undefined) throw new Error('the network has no input or no output')
  return {
    async run(values, shape) {
      const tensorIn =
        values instanceof Float32Array
          ? new Tensor('float32', values, [...shape])
          : new Tensor('uint8', values, [...shape])
      const results = await session.run({ [input]: tensorIn })
      const tensor = results[output]
      if (tensor === undefined || !(tensor.data instanceof Float32Array)) throw new Error('the network gave no floats')
      return { values: tensor.data, shape: tensor.dims }
    },
    async close() {
      await session.release()
    },
  }
}
