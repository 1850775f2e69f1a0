/** What the measures of the whole service share. */
import type { Arrivals } from "./arrivals.ts";
import { type Gateway, SECRET, type Webhook } from "./gateway.ts";
import type { Sample } from "./load.ts";
import { loadReceives } from "./load-receive.ts";
import type { ServerProcess } from "./server-process.ts";

export const EVENT_BYTES = 1_024;
export const ROUND_MS = 1_500;
export const RATE_MS = 3_000;

export interface Scene {
  readonly gateway: Gateway;
  /** Does what no receiver can do without. */
  readonly bare: ServerProcess;
  /** Measures how long events are on their way. */
  readonly arrivals: Arrivals;
  /** Receives only; forwards to a process of its own; forwards to `arrivals`. */
  readonly silent: Webhook;
  readonly forwarding: Webhook;
  readonly timed: Webhook;
}

/** Rates at 64 connections, events a second. */
export interface Rates {
  readonly bare: number;
  readonly receive: number;
  readonly endToEnd: number;
}

export const rateOf = (sample: Sample): number => sample.answers / sample.seconds;

export const receive = (gateway: Gateway, webhook: Webhook, connections: number, bytes = EVENT_BYTES, ms = ROUND_MS) =>
  loadReceives({ port: gateway.port, path: webhook.path, secret: SECRET, connections, bytes, durationMs: ms });

export const bareReceive = (bare: ServerProcess, connections: number, bytes = EVENT_BYTES) =>
  loadReceives({ port: bare.port, path: "/", secret: SECRET, connections, bytes, durationMs: ROUND_MS });

/** Receives, and events a second from the first receive to the last delivery recorded. */
export async function forward(gateway: Gateway, webhook: Webhook, connections: number, ms = ROUND_MS) {
  const startMs = performance.now();
  const sample = await receive(gateway, webhook, connections, EVENT_BYTES, ms);
  await gateway.settled();
  return { sample, endToEnd: sample.answers / ((performance.now() - startMs) / 1_000) };
}
