import { freemem, totalmem } from 'node:os';

/** The answer of a ComfyUI 0.8.0 on a CPU, with `simulated` to tell it from one. */
export function systemStats() {
  const [total, free] = [totalmem(), freemem()];
  return {
    system: {
      os: 'linux',
      ram_total: total,
      ram_free: free,
      comfyui_version: '0.8.0',
      required_frontend_version: '1.35.9',
      installed_templates_version: null,
      required_templates_version: '0.7.67',
      python_version: 'none',
      pytorch_version: 'none',
      embedded_python: false,
      argv: ['main.py', '--cpu'],
      simulated: true,
    },
    devices: [
      {
        name: 'cpu',
        type: 'cpu',
        index: null,
        vram_total: total,
        vram_free: free,
        torch_vram_total: total,
        torch_vram_free: free,
      },
    ],
  };
}
