import type { NodeFailure } from './node-failure.ts';

/**
 * Remedy of the worker for an error of the device that a node's computation ran into.
 *
 * | remedy          | action                                                                              |
 * | --------------- | ----------------------------------------------------------------------------------- |
 * | `free memory`   | models and cached results are dropped (`/free`), and the workflow runs once more    |
 * | `restart`       | ComfyUI is restarted, and the job runs once more                                    |
 * | `fresh machine` | the job fails, and its result asks the platform to replace this machine             |
 */
type Remedy = 'free memory' | 'restart' | 'fresh machine';

export interface DeviceError {
  /** For logs. */
  readonly name: string;
  /** Undefined: the node's own error, although its text looks like one of the device. */
  readonly remedy: Remedy | undefined;
}

/**
 * The class of a node's error. Undefined when it is no error of the device: those are never a reason to run a job again.
 * PyTorch of all vendors raises `RuntimeError`, `torch.OutOfMemoryError`, `torch.cuda.OutOfMemoryError` (before 2.5) or
 * `torch.AcceleratorError` (since 2.8); the text decides.
 */
export function deviceErrorOf({
  exceptionType,
  message,
}: Pick<NodeFailure, 'exceptionType' | 'message'>): DeviceError | undefined {
  const text = `${exceptionType}: ${message.slice(0, MESSAGE_LENGTH)}`;
  return DEVICE_ERRORS.find(({ pattern }) => pattern.test(text));
}

/** The first row that matches counts. Texts are those of PyTorch, CUDA, ROCm and ComfyUI's `model_management.py`. */
const DEVICE_ERRORS: readonly (DeviceError & { readonly pattern: RegExp })[] = [
  {
    // PyTorch asks NVML for its report about full memory, and fails where NVML is not available.
    name: 'memory full, hidden by NVML',
    pattern: /NVML_SUCCESS == .*INTERNAL ASSERT FAILED at ".*CUDACachingAllocator/,
    remedy: 'free memory',
  },
  {
    name: 'memory full',
    pattern:
      /\bOutOfMemoryError\b|\b(?:CUDA|HIP|XPU|MPS backend) out of memory|(?:CUDA|HIP) error: out of memory|Allocation on device\b|CU(?:BLAS|DNN)_STATUS_ALLOC_FAILED|HIPBLAS_STATUS_ALLOC_FAILED/i,
    remedy: 'free memory',
  },
  {
    name: 'memory of the machine full',
    pattern: /DefaultCPUAllocator: (?:can't allocate|not enough) memory|^MemoryError\b/,
    remedy: 'free memory',
  },
  {
    name: 'no driver or no device',
    pattern:
      /no (?:CUDA|ROCm)-capable device|No (?:CUDA|HIP) GPUs are available|Found no NVIDIA driver|driver version is insufficient|(?:initialize NVML|NVML.*(?:mismatch|not found))|CUDA driver initialization failed|CUDA unknown error|device\(s\) is\/are busy or unavailable|system not yet initialized/i,
    remedy: 'fresh machine',
  },
  {
    name: 'broken device',
    pattern:
      /uncorrectable (?:ECC|NVLink) error|GPU is lost|fallen off the bus|hardware stack error/i,
    remedy: 'fresh machine',
  },
  {
    name: 'device not supported by this PyTorch',
    pattern: /no kernel image is available|invalid device function/i,
    remedy: 'fresh machine',
  },
  {
    // These leave the device as it was. A node asked for something impossible.
    name: 'wrong use of the device',
    pattern:
      /(?:CUDA|HIP) error: (?:invalid (?:argument|configuration argument|value|resource handle|device ordinal)|operation not (?:supported|permitted))/i,
    remedy: undefined,
  },
  {
    // "Sticky": every later call in the same process fails as well.
    name: 'device in an error state',
    pattern:
      /\b(?:CUDA|HIP|cuDNN|CUDNN|MPS|XPU) (?:driver )?error\b|\bAcceleratorError\b|CU(?:BLAS|DNN|SPARSE|SOLVER)_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED|MAPPING_ERROR)|HIPBLAS_STATUS_(?:EXECUTION_FAILED|INTERNAL_ERROR)|device-side assert|unspecified launch failure|Internal Error \(\d+:kIOGPUCommandBuffer/i,
    remedy: 'restart',
  },
];

/** ComfyUI appends tips to the message, and a node may quote anything. */
const MESSAGE_LENGTH = 4000;
