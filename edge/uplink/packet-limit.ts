/**
 * MQTT 3.1.1 has no largest packet, and the parser collects whatever length a header announces. This reads the lengths in the
 * bytes as they pass, so that a connection can be ended before a huge packet is collected in memory [MQTT 3.1.1, 2.2.3].
 */
export type PacketGauge = (bytes: Uint8Array) => boolean

/** The returned function takes all bytes in order and says false as soon as one packet is longer than `maxBytes` or malformed. */
export function createPacketGauge(maxBytes: number): PacketGauge {
  /** Bytes of the present packet still to come after its header. */
  let remaining = 0
  /** Inside a header: digits of the length read so far. */
  let lengthDigits = -1
  let length = 0
  return (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      if (remaining > 0) {
        const step = Math.min(remaining, bytes.length - at)
        remaining -= step
        at += step
      } else if (lengthDigits < 0) {
        lengthDigits = 0
        length = 0
        at += 1
      } else {
        const digit = bytes[at] ?? 0
        at += 1
        length += (digit & 0x7f) * 128 ** lengthDigits
        lengthDigits += 1
        if (length > maxBytes || (lengthDigits === 4 && digit >= 0x80)) return false
        if (digit < 0x80) {
          remaining = length
          lengthDigits = -1
        }
      }
    }
    return true
  }
}
