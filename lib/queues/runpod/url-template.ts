/** What the platform's URL templates may hold. Ids and names are raw; they are encoded when put in. */
export interface TemplateValues {
  readonly podId: string;
  /** Without it, `$ID` means the worker: so it is in the URLs for taking jobs and for the heartbeat. */
  readonly jobId?: string;
  readonly gpuTypeId?: string | undefined;
}

/**
 * Puts ids into a URL template: `$RUNPOD_POD_ID`, `$ID` and `$RUNPOD_GPU_TYPE_ID`, each as often as it occurs. Real
 * templates are seen with either name for the worker, and already expanded.
 */
export function expandUrl(template: string, { podId, jobId, gpuTypeId }: TemplateValues): string {
  const values: Record<string, string | undefined> = {
    $RUNPOD_POD_ID: podId,
    $RUNPOD_GPU_TYPE_ID: gpuTypeId,
    $ID: jobId ?? podId,
  };
  return template.replace(PLACEHOLDER, (name) => {
    const value = values[name];
    return value === undefined ? name : encodeURIComponent(value.toWellFormed());
  });
}

const PLACEHOLDER = /\$(?:RUNPOD_POD_ID|RUNPOD_GPU_TYPE_ID|ID)/g;

/** Appends parameters, after `&` as the platform's own workers do, or after `?` when the URL has no query yet. */
export function withQuery(url: string, parameters: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(parameters).toString();
  return `${url}${url.includes('?') ? '&' : '?'}${query}`;
}
