import { isMainThread } from 'node:worker_threads';

/**
 * Loaded into the worker before everything else (`--import`). Shifts the wall clock when the chaos run says so; the
 * monotonic clock (`performance.now`) goes on undisturbed, as on a machine whose clock is set. Ends the worker with the run.
 */
let shiftMs = 0;
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...parts: unknown[]) {
    if (parts.length === 0) super(ShiftedDate.now());
    else super(...(parts as [number]));
  }

  static override now(): number {
    return RealDate.now() + shiftMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
process.on('message', (message: { readonly shiftMs: number }) => (shiftMs = message.shiftMs));
// Without the chaos run there is nobody to work for. ComfyUI then ends by itself.
const end = () => process.kill(process.pid, 'SIGKILL');
process.on('disconnect', end);
// Threads of the worker load this file too; they have no channel.
if (isMainThread && !process.connected) end();
// The channel must not keep a worker alive that has finished.
process.channel?.unref();
