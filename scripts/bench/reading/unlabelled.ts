/** Plates that are real and that the labels of the public set leave out, found by looking at what was read there: they are left out of false reads. */
import type { Region } from '../../../shared/wire/sighting.ts'

/** By set and file. */
export const UNLABELLED: Readonly<Record<string, readonly Region[]>> = {}
