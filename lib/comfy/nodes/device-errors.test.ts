import { expect, test } from '@jest/globals';
import { deviceErrorOf } from './device-errors.ts';

const HINT = `
CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1
Compile with \`TORCH_USE_CUDA_DSA\` to enable device-side assertions.
`;

test.each([
  [
    'torch.OutOfMemoryError',
    'CUDA out of memory. Tried to allocate 9.00 GiB. GPU 0 has a total capacity of 23.64 GiB of which 7.12 GiB is free.\n\nThis error means you ran out of memory on your GPU.\n',
  ],
  [
    'torch.cuda.OutOfMemoryError',
    'Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated     : 14.93 GiB',
  ],
  [
    'torch.OutOfMemoryError',
    'Allocation on device \n\nThis error means you ran out of memory on your GPU.\n',
  ],
  [
    'torch.AcceleratorError',
    `CUDA error: out of memory\nSearch for \`cudaErrorMemoryAllocation' in https://docs.nvidia.com/cuda/ for more information.${HINT}`,
  ],
  ['RuntimeError', 'CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`'],
  [
    'RuntimeError',
    'NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/CUDACachingAllocator.cpp":1016, please report a bug to PyTorch. ',
  ],
  [
    'torch.OutOfMemoryError',
    'HIP out of memory. Tried to allocate 432.00 MiB. GPU 0 has a total capacity of 15.92 GiB of which 7.12 GiB is free.',
  ],
  [
    'RuntimeError',
    'MPS backend out of memory (MPS allocated: 15.72 GiB, other allocations: 2.41 MiB, max allowed: 18.13 GiB). Tried to allocate 5.81 GiB on private pool.',
  ],
  [
    'RuntimeError',
    "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4294967296 bytes.",
  ],
])('full memory is freed: %s, sample %#', (exceptionType, message) => {
  expect(deviceErrorOf({ exceptionType, message })?.remedy).toBe('free memory');
});

test.each([
  [
    'torch.AcceleratorError',
    `CUDA error: an illegal memory access was encountered\nSearch for \`cudaErrorIllegalAddress' in https://docs.nvidia.com/cuda/ for more information.${HINT}`,
  ],
  ['RuntimeError', `CUDA error: an illegal memory access was encountered${HINT}`],
  ['RuntimeError', `CUDA error: device-side assert triggered${HINT}`],
  ['torch.AcceleratorError', `CUDA error: unspecified launch failure${HINT}`],
  ['RuntimeError', `CUDA error: misaligned address${HINT}`],
  [
    'RuntimeError',
    'CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasGemmEx( handle, opa, opb)`',
  ],
  ['RuntimeError', 'cuDNN error: CUDNN_STATUS_EXECUTION_FAILED'],
  [
    'torch.AcceleratorError',
    `HIP error: an illegal memory access was encountered\nHIP kernel errors might be asynchronously reported at some other API call.`,
  ],
  ['RuntimeError', 'HIP error: unspecified launch failure'],
  [
    'RuntimeError',
    'MPS error: Internal Error (0000000e:kIOGPUCommandBufferCallbackErrorInnocentVictim)',
  ],
])('a device in an error state needs a restart: %s, sample %#', (exceptionType, message) => {
  expect(deviceErrorOf({ exceptionType, message })?.remedy).toBe('restart');
});

test.each([
  ['RuntimeError', `CUDA error: no CUDA-capable device is detected${HINT}`],
  ['RuntimeError', 'No CUDA GPUs are available'],
  ['RuntimeError', 'No HIP GPUs are available'],
  [
    'RuntimeError',
    'Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver from http://www.nvidia.com/Download/index.aspx',
  ],
  [
    'pynvml.NVMLError_LibRmVersionMismatch',
    'Failed to initialize NVML: Driver/library version mismatch',
  ],
  [
    'RuntimeError',
    'Unexpected error from cudaGetDeviceCount(). Error 804: CUDA driver initialization failed, you might not have a CUDA gpu.',
  ],
  [
    'RuntimeError',
    'CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env variable CUDA_VISIBLE_DEVICES after program start.',
  ],
  ['torch.AcceleratorError', `CUDA error: uncorrectable ECC error encountered${HINT}`],
  [
    'torch.AcceleratorError',
    `CUDA error: CUDA-capable device(s) is/are busy or unavailable${HINT}`,
  ],
  ['RuntimeError', `CUDA error: no kernel image is available for execution on the device${HINT}`],
])('a machine without a usable device is replaced: %s, sample %#', (exceptionType, message) => {
  expect(deviceErrorOf({ exceptionType, message })?.remedy).toBe('fresh machine');
});

test.each([
  [
    'RuntimeError',
    'The size of tensor a (64) must match the size of tensor b (48) at non-singleton dimension 3',
  ],
  [
    'RuntimeError',
    'Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!',
  ],
  ['RuntimeError', `CUDA error: invalid configuration argument${HINT}`],
  ['torch.AcceleratorError', `CUDA error: invalid argument${HINT}`],
  ['ValueError', 'the CUDA device must be a number'],
  ['FileNotFoundError', "[Errno 2] No such file or directory: '/models/out of memory.safetensors'"],
])('an error of the node itself has no remedy: %s, sample %#', (exceptionType, message) => {
  expect(deviceErrorOf({ exceptionType, message })?.remedy).toBeUndefined();
});
