/** What a child process tells the camera process that started it. Called by the main programs of the children. */

/**
 * Sends `message`, if anybody is there. A parent that died a moment ago needs no answer: `disconnect` ends the child in the next turn, and until
 * then a message that cannot be written is no reason to end with a stack trace.
 */
export function answerParent(child: Pick<NodeJS.Process, 'connected' | 'send'>, message: object): void {
  if (child.connected) child.send?.(message, undefined, undefined, () => {})
}
