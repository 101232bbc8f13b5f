/** Where things are on a unit that was made from an image. Read by the programs here, and by scripts/unit-image/contents.ts. */

export const BOOT_STATE_DEVICE = '/dev/disk/by-partlabel/bootstate'
/** The FAT partition that a technician's computer shows. */
export const CARD_DEVICE = '/dev/disk/by-partlabel/CANDOR'
/** Where it is mounted while it is needed. */
export const CARD_MOUNT = '/run/candor-unit/card'
/** Of root alone, on the data partition. */
export const UNIT_FOLDER = '/var/lib/candor-unit'
/** Key, certificate and configuration of the camera; /etc/candor-edge is a link to it. */
export const CAMERA_FOLDER = `${UNIT_FOLDER}/camera`
/** Read by provision.ts and set-up.ts, which tests run in other places. */
export interface UnitPlaces {
  readonly cameraFolder: string
  /** What becomes the camera's folder when it is complete. */
  readonly enrollingFolder: string
  /** In memory: the set-up page was opened since the unit was switched on. */
  readonly pageOpenedFile: string
}
export const UNIT_PLACES: UnitPlaces = {
  cameraFolder: CAMERA_FOLDER,
  enrollingFolder: `${UNIT_FOLDER}/enrolling`,
  pageOpenedFile: '/run/candor-unit/set-up-opened',
}
/** What this release is: written at the build. */
export const RELEASE_FILE = '/usr/lib/candor/release.json'
/** What the edge process asks to be installed; of its own user. */
export const REQUEST_FOLDER = '/var/lib/private/candor-edge/updates'
/** Readable by everybody: how far an update is. */
export const UPDATE_STATUS_FILE = '/run/candor-update/status.json'
/** How the edge process does. */
export const EDGE_STATUS_FILE = '/run/candor-edge/status.json'
