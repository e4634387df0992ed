/**
 * The embedded ComfyUI in its own process, so that it shares no event loop with the measured code. Sends its URL to the
 * parent process and exits when the parent disconnects.
 */
import { once } from 'node:events';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';

if (!process.connected) throw new Error('This is started by the bench, not by hand');

const ended = once(process, 'disconnect');
// Ctrl-C reaches the whole process group; the bench decides when this process ends.
process.on('SIGINT', () => undefined);
await using simulator = await startComfySimulator({ port: Number(process.argv[2] ?? 0) });
process.send?.(simulator.url);
await ended;
