/** Thrown by a node that takes the whole process with it, as a fault in a native library does. */
export class ProcessCrash extends Error {
  override readonly name = 'ProcessCrash';
}
