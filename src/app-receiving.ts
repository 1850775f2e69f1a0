/** Receiving put together: what records events, what leaves traces of refusals, and what judges requests. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Clock } from "./clock.ts";
import type { Config, Limits } from "./config.ts";
import { EventRecorder } from "./core/event-recorder.ts";
import { FairWork } from "./core/fair-work.ts";
import type { Handover } from "./core/handover.ts";
import { Handshakes } from "./core/handshakes.ts";
import { Judge } from "./core/judgement.ts";
import { LinearIndex } from "./core/linear-index.ts";
import { LinearReceiver } from "./core/linear-receiver.ts";
import type { KeyFetch, PublishedKeys } from "./core/published-keys.ts";
import { Receiver } from "./core/receive.ts";
import type { ReceivingWebhook } from "./core/receiving-webhook.ts";
import type { SecretCaptures } from "./core/secret-captures.ts";
import { Traces } from "./core/traces.ts";
import { UrlConfirmations } from "./core/url-confirmations.ts";
import type { WebhookLoader } from "./core/webhook-loader.ts";
import type { Logger } from "./observe/logger.ts";
import type { Observer } from "./observe/observer.ts";
import type { WebhookRecord } from "./store/sql/lookup.ts";
import type { Store } from "./store/store.ts";

export interface ReceivingOptions {
  readonly config: Config;
  readonly limits: Limits;
  readonly logger: Logger;
  readonly observer: Observer;
  readonly store: Store;
  readonly clock: Clock;
  readonly loader: WebhookLoader<ReceivingWebhook>;
  readonly prepare: (record: WebhookRecord) => ReceivingWebhook;
  readonly keys: PublishedKeys;
  /** Fetches from providers' own hosts. */
  readonly fetch: KeyFetch;
  readonly captures: SecretCaptures;
  readonly handover: Handover;
}

export interface Receiving {
  readonly recorder: EventRecorder;
  readonly receiver: Receiver;
  readonly linear: LinearReceiver;
  /**
   * Waits until everything that was received is settled and every trace is written, for up to `graceMs`. Resolves to how
   * many events it left unsettled.
   */
  drain(graceMs: number): Promise<number>;
}

export function createReceiving(options: ReceivingOptions): Receiving {
  const { config, limits, logger, observer, store, clock, loader, prepare, handover } = options;
  const recorder = new EventRecorder({
    pool: store.pool,
    observer,
    limits: {
      batchRowsMax: limits.receiveBatchRowsMax,
      batchBytesMax: limits.receiveBatchBytesMax,
      inFlightMax: limits.receiveBatchesInFlightMax,
      queueRowsMax: limits.receiveQueueRowsMax,
      queueBytesMax: limits.receiveQueueBytesMax,
    },
    dedupeWindowSeconds: config.dedupeWindowSeconds,
    leaseMs: config.deliveryLeaseMs,
    batchRetriesMax: limits.batchRetriesMax,
  });
  const confirmations = new UrlConfirmations({
    fetch: options.fetch,
    max: limits.urlConfirmationsMax,
    rememberMs: limits.urlConfirmationRememberMs,
    retryMs: limits.urlConfirmationRetryMs,
    onFailure: (host, err) => logger.warn({ host, err }, "a subscription could not be confirmed"),
  });
  const traces = new Traces({ pool: store.traces, logger, limits });
  const receiver = new Receiver({
    loader,
    recorder,
    handover,
    judge: new Judge({ keys: options.keys, clock }),
    handshakes: new Handshakes({ captures: options.captures, confirmations }),
    observer,
    traces,
    traceContentBytesMax: limits.traceContentBytesMax,
    clock,
    staleRetriesMax: limits.receiveStaleRetriesMax,
    perClientMax: limits.receivesPerClientMax,
    perWebhookMax: limits.receivesPerWebhookMax,
  });
  const linear = new LinearReceiver({
    receiver,
    index: new LinearIndex({ pool: store.webhookLookups, prepare, limits }),
    work: new FairWork({ perClientMax: limits.linearSearchesPerClientMax, max: limits.linearSearchesMax }),
    clock,
    limits,
  });
  return {
    recorder,
    receiver,
    linear,
    drain: async (graceMs) => {
      const settled = recorder.drain().then(() => traces.stop());
      await Promise.race([settled, sleep(graceMs, undefined, { ref: false })]);
      return recorder.pending;
    },
  };
}
