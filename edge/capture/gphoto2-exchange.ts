/** What goes between gphoto2.ts and its process. */

/** What is to be set on the camera, by libgphoto2's names. */
export type CameraSettings = Readonly<Record<string, string>>

/** A setting that the camera has not taken, and why. */
export interface RefusedSetting {
  name: string
  why: string
}

/** A setting of the picture that the camera has, as it stands. */
export interface OfferedSetting {
  name: string
  /** As the camera's driver calls it. */
  label: string
  value: string
  /** Null where it is no choice. */
  choices: string[] | null
}

export type ToGphoto2Child =
  /** Only loads the package, which needs no camera. */
  | { kind: 'load' }
  /** Once. `port`: as usb.ts names a plug, else as libgphoto2 does. `folder`: where previews lie for a moment, best in memory. */
  | {
      kind: 'connect'
      model: string | null
      port: string | null
      capture: 'auto' | 'preview' | 'still'
      settings: CameraSettings
      folder: string
      keepOnCamera: boolean
      usbFolder: string
    }
  | { kind: 'set'; settings: CameraSettings }
  | { kind: 'shoot' }

export type FromGphoto2Child =
  | { kind: 'loaded' }
  | {
      kind: 'connected'
      model: string
      /** The name that lasts. */
      port: string
      capture: 'preview' | 'still'
      refused: RefusedSetting[]
      offered: OfferedSetting[]
    }
  | { kind: 'set'; refused: RefusedSetting[] }
  /** `isLeft`: the picture was to be deleted on the camera and is still there. */
  | { kind: 'shot'; jpeg: Uint8Array; ageMs: number; isLeft: boolean }
