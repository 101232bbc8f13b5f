/**
 * Hours of the reference city's cameras, to see how often `reads_low` is raised for nothing, and how soon for something. Vehicles come by
 * chance (Poisson) around a rate of hour, weekday, camera, weather of the day and a wander of the hour. Used by scene.ts.
 */
import { fleetConfigSchema } from '../../../cloud/fleet/config.ts'
import { COVERED_MS, type CountedHour, isLow, pastHours } from '../../../cloud/fleet/judging.ts'
import { LOW_HOURS } from '../../../cloud/fleet/watching.ts'
import { CITY_CAMERAS, HOURLY } from '../search/city.ts'
import { seeded } from '../statistics.ts'

/** Of the reference city: 2,077,502 vehicles in 30 days at 95 cameras. */
const A_DAY = 729
const WEEKS = 12
/** Of which the first are only a past. */
const PAST_WEEKS = 4
const WEEKEND = 0.7
/** A holiday in these weeks: as little traffic as this. */
const HOLIDAYS = [6, 10]
const HOLIDAY = 0.55

export interface LowReads {
  cameraWeeks: number
  /** Part of all hours that could be judged. */
  judged: number
  falseAlarms: number
  /** Of cameras that see a tenth or a quarter of what they saw, from some noon on: part that is noticed within a day. */
  noticedTenth: number
  noticedQuarter: number
}

export function measureLowReads(): LowReads {
  const random = seeded(11)
  const gauss = () => Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random())
  const limits = fleetConfigSchema.parse({})
  const total = HOURLY.reduce((sum, value) => sum + value, 0)
  const weather = Array.from({ length: WEEKS * 7 }, () => Math.exp(0.12 * gauss()))
  const found = { hours: 0, judged: 0, falseAlarms: 0, tenth: 0, quarter: 0 }
  for (let camera = 0; camera < CITY_CAMERAS; camera++) {
    const size = A_DAY * Math.exp(0.5 * gauss())
    const vehicles = Array.from({ length: WEEKS * 168 }, (_, hour) => {
      const day = Math.floor(hour / 24)
      const isHoliday = day % 7 === 3 && HOLIDAYS.includes(Math.floor(day / 7))
      const factor = (day % 7 >= 5 ? WEEKEND : 1) * (isHoliday ? HOLIDAY : 1) * (weather[day] ?? 1)
      return poisson(((size * (HOURLY[hour % 24] ?? 0)) / total) * factor * Math.exp(0.1 * gauss()), random)
    })
    const counted = (hour: number, times = 1): CountedHour => ({
      ...{ hour, coveredMs: COVERED_MS },
      vehicles: Math.round((vehicles[hour] ?? 0) * times),
    })
    const judge = (hour: number, times = 1) =>
      isLow(
        counted(hour, times),
        pastHours(hour).flatMap((one) => (one >= 0 ? [counted(one)] : [])),
        limits,
      )
    let inRow = 0
    for (let hour = PAST_WEEKS * 168; hour < WEEKS * 168; hour++) {
      const low = judge(hour)
      found.hours += 1
      if (low === null) continue
      found.judged += 1
      inRow = low ? inRow + 1 : 0
      if (inRow === LOW_HOURS) found.falseAlarms += 1
    }
    const noon = (WEEKS - 2) * 168 + 12
    const isNoticed = (times: number) => {
      let row = 0
      for (let hour = noon; hour < noon + 24; hour++) {
        const low = judge(hour, times)
        if (low !== null) row = low ? row + 1 : 0
        if (row >= LOW_HOURS) return true
      }
      return false
    }
    if (isNoticed(0.1)) found.tenth += 1
    if (isNoticed(0.25)) found.quarter += 1
  }
  return {
    cameraWeeks: CITY_CAMERAS * (WEEKS - PAST_WEEKS),
    judged: found.judged / found.hours,
    falseAlarms: found.falseAlarms,
    noticedTenth: found.tenth / CITY_CAMERAS,
    noticedQuarter: found.quarter / CITY_CAMERAS,
  }
}

/** [Knuth, The Art of Computer Programming 2, 3.4.1]; by the normal distribution where that is as good. */
function poisson(mean: number, random: () => number): number {
  if (mean > 60) {
    const normal = Math.sqrt(-2 * Math.log(random() + 1e-12)) * Math.cos(2 * Math.PI * random())
    return Math.max(0, Math.round(mean + Math.sqrt(mean) * normal))
  }
  const bound = Math.exp(-mean)
  let count = 0
  for (let product = random(); product > bound; product *= random()) count += 1
  return count
}
