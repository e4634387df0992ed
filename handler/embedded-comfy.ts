import type { ComfySimulator } from '../lib/simulator/comfy/simulator.ts';

/** The stand-in for ComfyUI, with the models our workflows name. Loaded only where it is wanted. */
export async function startEmbeddedComfy(): Promise<ComfySimulator> {
  const [{ startComfySimulator }, { SIMULATED_MODELS }] = await Promise.all([
    import('../lib/simulator/comfy/simulator.ts'),
    import('../lib/simulator/comfy/nodes/registry.ts'),
  ]);
  return startComfySimulator({ models: SIMULATED_MODELS });
}
