/**
 * aedes with deliveries that nobody waits for: it would hold every publish until the slowest subscriber's socket has drained, so
 * that one phone in a tunnel delays the alerts of all. What is not sent yet is bounded instead (`unsentAction`); a QoS 1 publish is
 * in its session's queue before it is delivered. Used by broker.ts alone.
 */
import { Aedes } from 'aedes'

/** Unsent bytes of a connection above which live reads (QoS 0) are dropped for it. */
export const MAX_UNSENT_LIVE_BYTES = 64 * 1024
/** Unsent bytes of a connection above which it is ended: its queue is on disk and goes out on return. */
export const MAX_UNSENT_BYTES = 1024 * 1024

/** What becomes of one more publish for a connection with so many unsent bytes. */
export function unsentAction(unsentBytes: number, qos: number): 'send' | 'drop' | 'end' {
  if (unsentBytes > MAX_UNSENT_BYTES) return 'end'
  return qos === 0 && unsentBytes > MAX_UNSENT_LIVE_BYTES ? 'drop' : 'send'
}

type Deliver = Parameters<Aedes['subscribe']>[1]
type Done = Parameters<Aedes['subscribe']>[2]

export class PromptAedes extends Aedes {
  readonly #prompt = new WeakMap<Deliver, Deliver>()

  override subscribe(topic: string, deliver: Deliver, done: Done): void {
    const prompt: Deliver = (packet, delivered) => {
      deliver(packet, () => {})
      setImmediate(delivered)
    }
    this.#prompt.set(deliver, prompt)
    super.subscribe(topic, prompt, done)
  }

  override unsubscribe(topic: string, deliver: Deliver, done: Done): void {
    super.unsubscribe(topic, this.#prompt.get(deliver) ?? deliver, done)
  }
}
