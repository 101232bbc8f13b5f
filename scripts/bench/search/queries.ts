/** The kinds of searches that `candor bench search` measures, each with many different queries about plates and places that exist. */

import type { FindRequest } from '../../../cloud/search/find.ts'
import { HOUR_MS, MINUTE_MS } from '../../../shared/clock.ts'
import { seeded } from '../statistics.ts'
import { CITY_CAMERAS, CITY_DAYS, cameraName, plateOf, vehiclesOf } from './city.ts'

export type Query = Partial<FindRequest>

export interface Kind {
  name: string
  queries: Query[]
}

export function kindsOf(rows: number, endMs: number, count: number): Kind[] {
  const random = seeded(7)
  const vehicles = vehiclesOf(rows)
  const plate = () => plateOf(Math.floor(vehicles * random() ** 2)).plate
  const at = () => endMs - Math.floor(random() * (CITY_DAYS - 2) * 24 * HOUR_MS) - HOUR_MS
  const camera = () => cameraName(Math.floor(CITY_CAMERAS * random()))
  const exact = (text: string) => ({ plate: { kind: 'exact' as const, text } })
  const pattern = (text: string) => ({ plate: { kind: 'pattern' as const, text } })
  const around = (ms: number, spanMs: number) => ({ fromMs: ms, toMs: ms + spanMs })
  const many = (name: string, query: () => Query): Kind => ({ name, queries: Array.from({ length: count }, query) })
  const middle = (text: string) => text.slice(-3)
  return [
    many('exact', () => exact(plate())),
    many('confusable', () => ({ ...exact(plate()), confusable: true })),
    many('prefix, ABC12*', () => pattern(`${plate().slice(0, 5)}*`)),
    many('prefix, AB?1*', () => pattern(`${plate().replace(/^(..).(.).*/, '$1?$2')}*`)),
    many('middle wildcard, A*7?2', () => pattern(plate().replace(/^(.).*(.).(.)$/, '$1*$2?$3'))),
    many('middle, *234*', () => pattern(`*${middle(plate())}*`)),
    many('end, *234', () => pattern(`*${middle(plate())}`)),
    many('scattered, *2?4?5*', () =>
      pattern(
        `*${plate()
          .slice(-5)
          .replace(/^(.).(.).(.)$/, '$1?$2?$3')}*`,
      ),
    ),
    many('confusable middle, ≈*234*', () => ({ ...pattern(`*${middle(plate())}*`), confusable: true })),
    many('middle and colour', () => ({ ...pattern(`*${middle(plate())}*`), colour: 'red' })),
    many('camera and 24 hours', () => ({ cameras: [camera()], ...around(at(), 24 * HOUR_MS) })),
    many('all cameras, 1 hour', () => around(at(), HOUR_MS)),
    many('2 of 3 places, 1 hour each', () => {
      const ms = at()
      const places = [0, 1, 2].map((i) => ({ camera: camera(), ...around(ms + i * 20 * MINUTE_MS, HOUR_MS) }))
      return { places, placesMet: 2 }
    }),
  ]
}
