/**
 * The embedded ComfyUI as a process of its own, started by {@link startEmbeddedComfy}: it must not share an event loop with
 * anything that is measured. Tells its URL and lives until the other end of the channel is gone.
 */
import { once } from 'node:events';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';

if (!process.connected) throw new Error('This is started by the bench, not by hand');

const ended = once(process, 'disconnect');
// Ctrl-C reaches the whole group; the bench decides when this one ends.
process.on('SIGINT', () => undefined);
await using simulator = await startComfySimulator({ port: Number(process.argv[2] ?? 0) });
process.send?.(simulator.url);
await ended;
