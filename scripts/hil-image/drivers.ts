/**
 * Which drivers the initrd must bring so that a board finds its card: read from the board's device tree [Devicetree Specification 0.4, 5] and the
 * kernel's list of modules. QEMU has no Raspberry Pi 4, and what a Pi 4 lacks in the initrd no other board shows. Used by pi-step.ts.
 */
import { AppError } from '../../shared/errors.ts'

const MAGIC = 0xd00dfeed
const TOKEN = { beginNode: 1, endNode: 2, property: 3, nop: 4, end: 9 } as const

export interface TreeNode {
  readonly name: string
  readonly parent: TreeNode | null
  readonly children: TreeNode[]
  readonly properties: Map<string, Buffer>
}

/** Throws `bad_input` for what is no device tree. */
export function parseDeviceTree(blob: Buffer): TreeNode {
  if (blob.length < 40 || blob.readUInt32BE(0) !== MAGIC) throw new AppError('bad_input', 'this is no device tree')
  if (blob.readUInt32BE(4) > blob.length) throw new AppError('bad_input', 'the device tree ends too early')
  const strings = blob.readUInt32BE(12)
  const text = (at: number) => blob.toString('latin1', at, blob.indexOf(0, at))
  let root = null as TreeNode | null
  let node = null as TreeNode | null
  let at = blob.readUInt32BE(8)
  for (;;) {
    const token = blob.readUInt32BE(at)
    at += 4
    if (token === TOKEN.end) break
    if (token === TOKEN.nop) continue
    if (token === TOKEN.beginNode) {
      const child: TreeNode = { name: text(at), parent: node, children: [], properties: new Map() }
      at = (at + child.name.length + 4) & ~3
      node?.children.push(child)
      root ??= child
      node = child
    } else if (token === TOKEN.endNode) {
      node = node?.parent ?? null
    } else if (token === TOKEN.property && node !== null) {
      const bytes = blob.readUInt32BE(at)
      node.properties.set(text(strings + blob.readUInt32BE(at + 4)), blob.subarray(at + 8, at + 8 + bytes))
      at = (at + 8 + bytes + 3) & ~3
    } else {
      throw new AppError('bad_input', `the device tree has a token ${token}`)
    }
  }
  if (root === null) throw new AppError('bad_input', 'the device tree is empty')
  return root
}

export function* everyNode(node: TreeNode): Generator<TreeNode> {
  yield node
  for (const child of node.children) yield* everyNode(child)
}

export const compatibles = (node: TreeNode) =>
  (node.properties.get('compatible')?.toString('latin1') ?? '').split('\0').filter(Boolean)

/** Properties that name a device without which this one does not start, and what says how many cells follow each name there. */
const NAMED: readonly [RegExp, string | null][] = [
  [/-supply$/, null],
  [/^mmc-pwrseq$/, null],
  [/^pinctrl-\d+$/, null],
  [/^(.+-)?gpios?$/, '#gpio-cells'],
  [/^clocks$/, '#clock-cells'],
  [/^dmas$/, '#dma-cells'],
  [/^mboxes$/, '#mbox-cells'],
  [/^resets$/, '#reset-cells'],
  [/^phys$/, '#phy-cells'],
  [/^power-domains$/, '#power-domain-cells'],
]

function named(value: Buffer, cells: string | null, byHandle: ReadonlyMap<number, TreeNode>): TreeNode[] {
  const found: TreeNode[] = []
  for (let at = 0; at + 4 <= value.length; ) {
    const node = byHandle.get(value.readUInt32BE(at))
    at += 4
    if (node === undefined) continue
    found.push(node)
    if (cells !== null) at += 4 * (node.properties.get(cells)?.readUInt32BE(0) ?? 0)
  }
  return found
}

/** The devices of that kind which are in use, those that they need, those that these need, and the buses of all. */
export function neededFor(root: TreeNode, compatible: string): Set<TreeNode> {
  const byHandle = new Map<number, TreeNode>()
  const waiting: TreeNode[] = []
  for (const node of everyNode(root)) {
    const handle = node.properties.get('phandle')
    if (handle !== undefined) byHandle.set(handle.readUInt32BE(0), node)
    const isOff = /^disabled/.test(node.properties.get('status')?.toString('latin1') ?? '')
    if (!isOff && compatibles(node).includes(compatible)) waiting.push(node)
  }
  if (waiting.length === 0) throw new AppError('bad_input', `the board has no ${compatible}`)
  const needed = new Set<TreeNode>()
  for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
    if (needed.has(node)) continue
    needed.add(node)
    if (node.parent !== null) waiting.push(node.parent)
    for (const [property, value] of node.properties) {
      const kind = NAMED.find(([pattern]) => pattern.test(property))
      if (kind !== undefined) waiting.push(...named(value, kind[1], byHandle))
    }
  }
  return needed
}

/** Compatible strings and the module of each, from the kernel's modules.alias; what is built into the kernel has no line there. */
export function modulesByCompatible(aliases: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const line of aliases.split('\n')) {
    const [, compatible, module] = /^alias of:N\*T\*C(\S+?)(?:C\*)? (\S+)$/.exec(line) ?? []
    if (compatible !== undefined && module !== undefined) found.set(compatible, module)
  }
  return found
}

const HEADER_BYTES = 110
const roundUp = (bytes: number) => (bytes + 3) & ~3

/** Names of the files in an archive of the kind `newc` [cpio(5)], which an initrd is once it is decompressed. Throws `bad_input` for another. */
export function namesInArchive(archive: Buffer): string[] {
  const names: string[] = []
  for (let at = 0; at + HEADER_BYTES <= archive.length; ) {
    const header = archive.toString('latin1', at, at + HEADER_BYTES)
    const [fileBytes, nameBytes] = [header.slice(54, 62), header.slice(94, 102)].map((hex) => Number.parseInt(hex, 16))
    if (!header.startsWith('070701') || fileBytes === undefined || nameBytes === undefined)
      throw new AppError('bad_input', 'the initrd is no archive')
    const name = archive.toString('latin1', at + HEADER_BYTES, at + HEADER_BYTES + nameBytes - 1)
    if (name === 'TRAILER!!!') break
    names.push(name)
    at = roundUp(at + HEADER_BYTES + nameBytes)
    at = roundUp(at + fileBytes)
  }
  return names
}

/** Modules that a device of that kind needs on this board and that the initrd does not have. */
export function missingDrivers(tree: Buffer, compatible: string, aliases: string, initrd: readonly string[]) {
  const modules = modulesByCompatible(aliases)
  const there = new Set(
    initrd.map((name) => /([^/]+)\.ko(\.\w+)?$/.exec(name)?.[1]?.replaceAll('-', '_')).filter((name) => name != null),
  )
  const needed = new Set<string>()
  for (const node of neededFor(parseDeviceTree(tree), compatible))
    for (const kind of compatibles(node)) {
      const module = modules.get(kind)
      if (module !== undefined) needed.add(module.replaceAll('-', '_'))
    }
  return { needed: [...needed].sort(), missing: [...needed].filter((module) => !there.has(module)).sort() }
}
