/** A camera on loopback that sends Motion JPEG over HTTP, and falls silent or stops when told to. */
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface MjpegCamera {
  /** Accepts connections and sends nothing more on any. */
  isSilent: boolean
  readonly address: string
  /** All connections break, and none is taken. */
  stop(): Promise<void>
  /** On the same port again. */
  start(): Promise<void>
}

/** Each picture is sent so often until the next one has its turn. */
const FRAMES_PER_PICTURE = 5

export async function openMjpegCamera(pictures: readonly Buffer[], everyMs: number): Promise<MjpegCamera> {
  let port = 0
  let server: Server | null = null
  let sent = 0
  const camera: MjpegCamera = {
    isSilent: false,
    get address() {
      return `http://127.0.0.1:${port}/live.mjpg`
    },
    async stop() {
      const closing = server
      server = null
      closing?.closeAllConnections()
      if (closing !== null) await new Promise((resolve) => closing.close(resolve))
    },
    async start() {
      const opening = createServer((_request, response) => serve(response))
      await new Promise<void>((resolve, reject) => {
        opening.once('error', reject)
        opening.listen(port, '127.0.0.1', resolve)
      })
      server = opening
      port = (opening.address() as AddressInfo).port
    },
  }

  function serve(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'multipart/x-mixed-replace; boundary=frame' })
    const timer = setInterval(() => {
      if (camera.isSilent) return
      const picture = pictures[Math.floor(sent / FRAMES_PER_PICTURE) % pictures.length] ?? Buffer.alloc(0)
      sent += 1
      response.write(`--frame\r\nContent-Type: image/jpeg\r\nContent-Length: ${picture.length}\r\n\r\n`)
      response.write(picture)
      response.write('\r\n')
    }, everyMs)
    response.once('close', () => clearInterval(timer))
  }

  await camera.start()
  return camera
}
