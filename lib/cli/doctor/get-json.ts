import { redactUrl } from '../../http/redact.ts';
import { connectionProblem } from '../connection-problem.ts';

/** What `url` answers, as JSON. Throws an `Error` that says what was asked and what came. */
export async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await ask(url, signal);
  const text = await response.text();
  if (!response.ok) throw new Error(`[GET] ${url}: ${response.status} ${response.statusText}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    const begin = JSON.stringify(text.slice(0, 60));
    throw new Error(`[GET] ${url} answered something that is not JSON: ${begin}`, { cause: error });
  }
}

/** Throws an `Error` naming the reason when no answer comes. */
export async function ask(url: string, signal: AbortSignal, method = 'GET'): Promise<Response> {
  try {
    return await fetch(url, { method, signal, redirect: 'manual' });
  } catch (error) {
    throw new Error(`[${method}] ${redactUrl(url)}: ${connectionProblem(error)}`, { cause: error });
  }
}

/** The address of a path behind a base that may have a path itself. */
export function under(base: string, path: string): string {
  return `${base.replace(/\/+$/, '')}${path}`;
}
