import {
  answerCancel,
  answerHealth,
  answerRun,
  answerRunSync,
  answerStatus,
  answerStatusSync,
} from './client-routes.ts';
import type { Exchange, Platform } from './platform.ts';
import type { Route } from './request.ts';
import { answerPing, answerPost, answerStop, answerTake } from './worker-routes.ts';

type Answer = (platform: Platform, exchange: Exchange) => void | Promise<void>;

/** The routes of workers; their key is sent as it is. */
const WORKER_ROUTES: Partial<Record<Route, Answer>> = {
  'job-take': answerTake,
  'job-take-batch': answerTake,
  'job-stop': answerStop,
  'job-done': answerPost,
  'job-stream': answerPost,
  ping: answerPing,
};

/** The routes of clients; their key may also be a bearer token. */
const CLIENT_ROUTES: Partial<Record<Route, Answer>> = {
  run: answerRun,
  runsync: answerRunSync,
  status: answerStatus,
  'status-sync': answerStatusSync,
  cancel: answerCancel,
  health: answerHealth,
};

/** Answers a request whose key is right; 401 to all others. */
export async function answer(platform: Platform, exchange: Exchange, key: string): Promise<void> {
  const { route, headers } = exchange.request;
  const ofClient = CLIENT_ROUTES[route];
  const allowed =
    headers.authorization === key || (ofClient && headers.authorization === `Bearer ${key}`);
  if (!allowed) return void exchange.reply.json('{"error":"unauthorized"}', 401);
  await (ofClient ?? WORKER_ROUTES[route])?.(platform, exchange);
}
