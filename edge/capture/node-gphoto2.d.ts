/** Types of the package node-gphoto2 (npm gphoto2 0.3.2), read from its C++; only what is used here. */
declare module 'node-gphoto2' {
  export interface Widget {
    label: string
    type: 'string' | 'range' | 'toggle' | 'date' | 'choice' | 'window' | 'section' | 'button' | undefined
    value?: string | number | Date
    choices?: string[]
    min?: number
    max?: number
  }
  /** Sections hold widgets and further sections. */
  export interface WidgetTree {
    [name: string]: Widget | WidgetTree | undefined
  }
  /** `error` is a negative number of libgphoto2, or undefined. */
  type Callback<T> = (error: number | undefined, value: T) => void

  export interface Camera {
    readonly model: string
    readonly port: string
    getConfig(simplify: true, done: Callback<{ main: WidgetTree } | undefined>): void
    setConfigValue(name: string, value: string, done: Callback<undefined>): void
    /** A preview gives the path that it made of `targetPath`, which ends in XXXXXX, and never the bytes. */
    takePicture(options: { preview: true; targetPath: string }, done: Callback<string>): void
    /** With `keep` it does not say where on the camera the picture is. */
    takePicture(options: { download: true; keep: boolean }, done: Callback<Buffer>): void
    /** Deletes it on the camera as soon as libgphoto2 says that it was downloaded, half or whole. */
    downloadPicture(options: { cameraPath: string }, done: Callback<Buffer>): void
  }

  interface GPhoto2 {
    /** Before `list` has called back nothing of a camera can be had. */
    list(done: (cameras: Camera[]) => void): void
    /** 2: debug. Each call adds a listener; none is ever removed. */
    setLogLevel(level: number): void
    on(name: 'log', listener: (level: number, domain: string, text: string) => void): void
  }

  /** CommonJS. */
  const gphoto2: { GPhoto2: new () => GPhoto2 }
  export default gphoto2
  export type { GPhoto2 }
}
