import { WorkerError } from '../../lib/errors.ts';
import type { Destination } from '../../lib/storage/storage.ts';
import {
  DESTINATION_KINDS,
  maybeOpen,
  namedKinds,
  type DeliveryRequest,
  type DestinationKind,
  type DestinationParts,
} from './destinations.ts';

export interface DeliveryParts extends DestinationParts {
  /** The largest result that is posted, in bytes of JSON. */
  readonly maxResultBytes: number;
}

/** How the files of one job travel. */
export interface DeliveryPlan extends AsyncDisposable {
  /** When files go into the result itself before any destination is asked. */
  readonly inline: 'always' | 'if it fits' | 'never';
  /** Where they go, one after the other until they are taken. */
  readonly destinations: readonly Destination[];
  readonly maxResultBytes: number;
}

/**
 * Reads where the caller wants the files, and opens what is there. Done before anything runs: a job nobody could deliver
 * costs no GPU time.
 *
 * Without `output.delivery` files go where the caller names a place, else into the bucket of the worker, else into the result.
 * @throws WorkerError `input.invalid`, `output.no_destination`
 */
export async function planDelivery(
  request: DeliveryRequest,
  parts: DeliveryParts,
): Promise<DeliveryPlan> {
  const { delivery } = request.input.output;
  const kinds = kindsFor(request, parts);
  await using opened = new AsyncDisposableStack();
  const destinations: Destination[] = [];
  for (const kind of kinds) {
    const destination = await maybeOpen(kind, request, parts);
    if (destination) destinations.push(opened.use(destination));
    else if (kind === delivery) throw missing(kind, parts);
  }
  const kept = opened.move();
  const ifNotAlways = delivery === 'auto' ? 'if it fits' : 'never';
  return {
    inline: kinds.length === 0 ? 'always' : ifNotAlways,
    destinations,
    maxResultBytes: parts.maxResultBytes,
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

function kindsFor(
  request: DeliveryRequest,
  { storage }: DeliveryParts,
): readonly DestinationKind[] {
  const { delivery } = request.input.output;
  switch (delivery) {
    case 'inline':
      return [];
    case 'auto':
      return DESTINATION_KINDS;
    case 's3':
    case 'put':
    case 'volume':
      return [delivery];
    case undefined: {
      const named = namedKinds(request);
      return named.length > 0 || !storage ? named : ['s3'];
    }
  }
}

function missing(
  kind: 's3' | 'put' | 'volume',
  { uploads: { volumeFolder } }: DeliveryParts,
): WorkerError {
  const why = {
    s3: 'there is no bucket: send s3Config, or have BUCKET_ENDPOINT_URL set on the worker',
    put: 'there is no URL to put files to: name them in output.put',
    volume: `there is no volume: neither ${volumeFolder} (OUTPUT_VOLUME_DIR) nor the folder it is to be in is there`,
  };
  return new WorkerError(
    'output.no_destination',
    `output.delivery is ${JSON.stringify(kind)}, but ${why[kind]}`,
  );
}
