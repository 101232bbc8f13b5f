/** The bytes of PTP [ISO 15740] and PTP/IP [CIPA DC-005] that ptp-camera.ts sends. Little endian throughout. */

export const u8 = (value: number) => Buffer.from([value])
export function u16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2)
  for (const [n, value] of values.entries()) bytes.writeUInt16LE(value, n * 2)
  return bytes
}
export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [n, value] of values.entries()) bytes.writeUInt32LE(value, n * 4)
  return bytes
}
const u64 = (value: number) => u32(value >>> 0, Math.floor(value / 2 ** 32))

/** A count of characters with the final zero, then UTF-16. */
function text(value: string): Buffer {
  if (value === '') return u8(0)
  return Buffer.concat([u8(value.length + 1), Buffer.from(`${value}\0`, 'utf16le')])
}
const list16 = (values: readonly number[]) => Buffer.concat([u32(values.length), u16(...values)])
export const list32 = (values: readonly number[]) => Buffer.concat([u32(values.length), u32(...values)])

/** Kinds of packets. */
export const PACKET = {
  initCommand: 1,
  initCommandAck: 2,
  initEvents: 3,
  initEventsAck: 4,
  request: 6,
  response: 7,
  notice: 8,
  startData: 9,
  data: 10,
  endData: 12,
} as const

export const OPERATION = {
  getDeviceInfo: 0x1001,
  openSession: 0x1002,
  closeSession: 0x1003,
  getStorageIds: 0x1004,
  getStorageInfo: 0x1005,
  getObjectHandles: 0x1007,
  getObjectInfo: 0x1008,
  getObject: 0x1009,
  deleteObject: 0x100b,
  initiateCapture: 0x100e,
  getPropertyDescription: 0x1014,
  getPropertyValue: 0x1015,
  setPropertyValue: 0x1016,
  nikonDeviceReady: 0x90c8,
  nikonStartLiveView: 0x9201,
  nikonEndLiveView: 0x9202,
  nikonGetLiveView: 0x9203,
} as const

export const RESPONSE = { ok: 0x2001, unknownOperation: 0x2005, unknownObject: 0x2009, busy: 0x2019 } as const
export const NOTICE = { objectAdded: 0x4002, captureComplete: 0x400d } as const

export const STORAGE = 0x00010001
const JPEG_FORMAT = 0x3801
const NIKON_EXTENSION = 0x0a
/** ISO, and Nikon's "is live view on". */
export const PROPERTY = { iso: 0x500f, nikonLiveViewStatus: 0xd1a2 } as const
export const ISO_CHOICES = [100, 200, 400, 800] as const

export function packet(kind: number, ...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  return Buffer.concat([u32(body.length + 8, kind), body])
}

export const initCommandAck = (connection: number, name: string) =>
  packet(
    PACKET.initCommandAck,
    u32(connection),
    Buffer.alloc(16, 7),
    Buffer.from(`${name}\0`, 'utf16le'),
    u32(0x00010000),
  )

/** `total`: what the camera says that is coming. */
export const dataPackets = (transaction: number, bytes: Buffer, total = bytes.length) =>
  Buffer.concat([
    packet(PACKET.startData, u32(transaction), u64(total)),
    packet(PACKET.endData, u32(transaction), bytes),
  ])

export function deviceInfo(model: string, hasLiveView: boolean): Buffer {
  const operations = Object.entries(OPERATION).filter(([name]) => hasLiveView || !name.startsWith('nikon'))
  const properties = hasLiveView ? [PROPERTY.iso, PROPERTY.nikonLiveViewStatus] : [PROPERTY.iso]
  return Buffer.concat([
    ...[u16(100), u32(hasLiveView ? NIKON_EXTENSION : 0), u16(100), text(''), u16(0)],
    ...[list16(operations.map(([, code]) => code)), list16(Object.values(NOTICE)), list16(properties)],
    ...[list16([JPEG_FORMAT]), list16([JPEG_FORMAT])],
    ...[text(hasLiveView ? 'Nikon Corporation' : 'Candor'), text(model), text('1.0'), text('1')],
  ])
}

export const storageInfo = () =>
  Buffer.concat([u16(4, 3, 0), u64(2 ** 33), u64(2 ** 32), u32(1_000), text('card'), text('card')])

export const objectInfo = (name: string, bytes: number) =>
  Buffer.concat([
    ...[u32(STORAGE), u16(JPEG_FORMAT, 0), u32(bytes), u16(0), u32(0, 0, 0, 0, 0, 24, 0)],
    ...[u16(0), u32(0, 0), text(name), text('20260601T120000'), text('20260601T120000'), text('')],
  ])

/** The description of ISO, a number of 16 bits that is one of a list. */
export const isoDescription = (iso: number) =>
  Buffer.concat([u16(PROPERTY.iso, 4), u8(1), u16(100, iso), u8(2), u16(ISO_CHOICES.length, ...ISO_CHOICES)])

export const liveViewDescription = (isOn: boolean) =>
  Buffer.concat([u16(PROPERTY.nikonLiveViewStatus, 2), u8(0), u8(0), u8(isOn ? 1 : 0), u8(0)])
