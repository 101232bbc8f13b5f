/**
 * A camera on loopback that libgphoto2 talks to by PTP/IP, with the faults that real ones have. It takes pictures of the files that it
 * is given, one after another, and stores them on a card of its own until they are deleted. Used by the tests and the stage of this
 * folder.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import {
  dataPackets,
  deviceInfo,
  ISO_CHOICES,
  initCommandAck,
  isoDescription,
  list32,
  liveViewDescription,
  NOTICE,
  OPERATION,
  objectInfo,
  PACKET,
  PROPERTY,
  packet,
  RESPONSE,
  STORAGE,
  storageInfo,
  u8,
  u16,
  u32,
} from './ptp-packets.ts'

/**
 * `drops`: the connection breaks in the middle of a picture. `truncates`: half a picture is sent as if it were all. `silent`: a
 * capture is accepted and nothing follows. `busy`: captures are refused. `mute`: nothing is answered any more.
 */
export type CameraFault = 'none' | 'drops' | 'truncates' | 'silent' | 'busy' | 'mute'

export interface PtpCamera {
  fault: CameraFault
  /** `host:port:eventport`, as hilport.c lists it. */
  readonly address: string
  /** Pictures that are on the card. */
  readonly card: ReadonlyMap<number, Buffer>
  readonly did: Readonly<{
    connections: number
    captures: number
    fetched: number
    deleted: number
    /** Of these, pictures that were never sent whole: they are nowhere any more. */
    lost: number
    previews: number
  }>
  readonly iso: number
  /** Pulled: all connections break and none is taken. */
  unplug(): Promise<void>
  /** On the same port again. */
  plug(): Promise<void>
}

export async function openPtpCamera(
  pictures: readonly Buffer[],
  options: { hasLiveView?: boolean; port?: number } = {},
): Promise<PtpCamera> {
  const hasLiveView = options.hasLiveView ?? false
  const did = { connections: 0, captures: 0, fetched: 0, deleted: 0, lost: 0, previews: 0 }
  const sentWhole = new Set<number>()
  const card = new Map<number, Buffer>()
  const sockets = new Set<Socket>()
  let notices: Socket | null = null
  let iso: number = ISO_CHOICES[0]
  let isLiveViewOn = false
  let port = options.port ?? 0
  let server: Server | null = null

  const camera: PtpCamera = {
    fault: 'none',
    did,
    card,
    get iso() {
      return iso
    },
    get address() {
      return `127.0.0.1:${port}:${port}`
    },
    async unplug() {
      for (const socket of sockets) socket.destroy()
      const closing = server
      server = null
      if (closing !== null) await new Promise((resolve) => closing.close(resolve))
    },
    async plug() {
      isLiveViewOn = false
      const opening = createServer(serve)
      await new Promise<void>((resolve, reject) => {
        opening.once('error', reject)
        opening.listen(port, '127.0.0.1', resolve)
      })
      server = opening
      port = (opening.address() as AddressInfo).port
    },
  }

  const next = () => pictures[did.captures % pictures.length] ?? Buffer.alloc(0)

  function serve(socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    /** What came, until it is a whole packet. */
    let held: Buffer = Buffer.alloc(0)
    /** A request whose data is still coming. */
    let waiting: { operation: number; transaction: number; parameters: number[] } | null = null
    let coming: Buffer[] = []
    socket.on('data', (bytes) => {
      held = Buffer.concat([held, bytes])
      while (held.length >= 8 && held.length >= held.readUInt32LE(0)) {
        const length = held.readUInt32LE(0)
        take(held.readUInt32LE(4), held.subarray(8, length))
        held = held.subarray(length)
      }
    })

    function take(kind: number, body: Buffer): void {
      if (camera.fault === 'mute') return
      if (kind === PACKET.initCommand) {
        did.connections += 1
        socket.write(initCommandAck(did.connections, 'Candor'))
      } else if (kind === PACKET.initEvents) {
        notices = socket
        socket.write(packet(PACKET.initEventsAck))
      } else if (kind === PACKET.request) {
        const parameters: number[] = []
        for (let at = 10; at + 4 <= body.length; at += 4) parameters.push(body.readUInt32LE(at))
        const request = { operation: body.readUInt16LE(4), transaction: body.readUInt32LE(6), parameters }
        // The second phase brings data from the other side first.
        if (body.readUInt32LE(0) !== 2) answer(request, Buffer.alloc(0))
        else {
          waiting = request
          coming = []
        }
      } else if (kind === PACKET.data || kind === PACKET.endData) {
        coming.push(body.subarray(4))
        if (kind === PACKET.endData && waiting !== null) answer(waiting, Buffer.concat(coming))
      }
    }

    function answer(request: { operation: number; transaction: number; parameters: number[] }, data: Buffer): unknown {
      const { operation, transaction, parameters } = request
      const [parameter = 0] = parameters
      const respond = (code: number) => socket.write(packet(PACKET.response, u16(code), u32(transaction)))
      const give = (bytes: Buffer) => {
        socket.write(dataPackets(transaction, bytes))
        return respond(RESPONSE.ok)
      }
      const stored = card.get(parameter)
      switch (operation) {
        case OPERATION.getDeviceInfo:
          return give(deviceInfo('Responder', hasLiveView))
        case OPERATION.getStorageIds:
          return give(list32([STORAGE]))
        case OPERATION.getStorageInfo:
          return give(storageInfo())
        case OPERATION.getObjectHandles:
          return give(list32([...card.keys()]))
        case OPERATION.getPropertyDescription:
          return give(parameter === PROPERTY.iso ? isoDescription(iso) : liveViewDescription(isLiveViewOn))
        case OPERATION.getPropertyValue:
          return give(parameter === PROPERTY.iso ? u16(iso) : u8(isLiveViewOn ? 1 : 0))
        case OPERATION.setPropertyValue:
          if (parameter === PROPERTY.iso) iso = data.readUInt16LE(0)
          break
        case OPERATION.getObjectInfo:
          if (stored === undefined) return respond(RESPONSE.unknownObject)
          return give(objectInfo(`CAP_${String(parameter).padStart(4, '0')}.JPG`, stored.length))
        case OPERATION.getObject:
          if (stored === undefined) return respond(RESPONSE.unknownObject)
          did.fetched += 1
          if (camera.fault === 'drops') {
            socket.write(dataPackets(transaction, stored).subarray(0, stored.length / 2))
            socket.end()
            notices?.destroy()
            return null
          }
          if (camera.fault === 'truncates') return give(stored.subarray(0, stored.length / 2))
          sentWhole.add(parameter)
          return give(stored)
        case OPERATION.deleteObject:
          if (!card.delete(parameter)) break
          did.deleted += 1
          if (!sentWhole.has(parameter)) did.lost += 1
          break
        case OPERATION.initiateCapture:
          if (camera.fault === 'busy') return respond(RESPONSE.busy)
          respond(RESPONSE.ok)
          if (camera.fault !== 'silent') capture(transaction)
          return null
        case OPERATION.nikonStartLiveView:
        case OPERATION.nikonEndLiveView:
          isLiveViewOn = operation === OPERATION.nikonStartLiveView
          break
        case OPERATION.nikonGetLiveView:
          did.previews += 1
          did.captures += 1
          if (camera.fault === 'silent') return null
          // As a Nikon sends it: the picture stands behind a header of its own.
          return give(
            Buffer.concat([Buffer.alloc(384), camera.fault === 'truncates' ? next().subarray(0, 9_000) : next()]),
          )
        case OPERATION.openSession:
        case OPERATION.closeSession:
        case OPERATION.nikonDeviceReady:
          break
        default:
          return respond(RESPONSE.unknownOperation)
      }
      return respond(RESPONSE.ok)
    }
  }

  function capture(transaction: number): void {
    const picture = next()
    did.captures += 1
    const handle = did.captures
    card.set(handle, picture)
    notices?.write(packet(PACKET.notice, u16(NOTICE.objectAdded), u32(transaction, handle)))
    notices?.write(packet(PACKET.notice, u16(NOTICE.captureComplete), u32(transaction)))
  }

  await camera.plug()
  return camera
}
