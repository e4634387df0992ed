import { WorkerError } from '../../errors.ts';
import { isLoopback, isPrivateAddress } from '../../http/public-address.ts';
import type { ApiSettings } from '../server/settings.ts';

/**
 * Says at once what would fail later. Names are looked up when the webhook is sent, and checked then.
 * @throws WorkerError `api.bad_request`
 */
export function checkWebhook(
  webhook: string,
  { allowPrivateWebhooks }: Pick<ApiSettings, 'allowPrivateWebhooks'>,
): void {
  const { hostname } = new URL(webhook);
  const isPrivate = isLoopback(hostname) || isPrivateAddress(hostname);
  if (!isPrivate || allowPrivateWebhooks) return;
  throw new WorkerError(
    'api.bad_request',
    `The webhook goes to ${hostname}, which is on a private network; API_WEBHOOK_ALLOW_PRIVATE=true allows that`,
  );
}
