/**
 * ONNX Runtime reports to its makers: with its first network it makes up an id for the machine, writes it and a queue of what happened under ~/.cache, and
 * looks for a server to send that to. Nothing of a police camera goes there. It reads this variable once, with the first network; so this file is
 * imported before it. Read by network.ts.
 */
process.env.ORT_DISABLE_TELEMETRY = '1'
