/** One file as ComfyUI names it. */
export interface ComfyFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** An input file on its way to ComfyUI: of any kind, although ComfyUI calls it an image. */
export interface InputImage {
  readonly name: string;
  readonly content: Blob;
  readonly mediaType: string;
  /** Within the input folder; made when it is not there. */
  readonly subfolder?: string;
  /** It is a mask: what is stored is this image with the transparency of the one uploaded. */
  readonly maskOf?: ComfyFile;
}

/** Where ComfyUI put an uploaded file; the name may differ from the one that was asked for. */
export interface StoredImage {
  readonly name: string;
  readonly subfolder: string;
  readonly type: string;
}
