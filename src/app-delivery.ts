/** The delivering part of the composition root: the client that attempts go through, and the worker. */
import type { Pool } from "pg";
import type { AppSeams } from "./app.ts";
import type { Clock } from "./clock.ts";
import { type Config, LIMITS, type Limits } from "./config.ts";
import type { ReceivingWebhook } from "./core/receiving-webhook.ts";
import type { WebhookLoader } from "./core/webhook-loader.ts";
import { OAuth2Tokens } from "./delivery/oauth2-tokens.ts";
import { DeliveryWorker } from "./delivery/worker.ts";
import type { Logger } from "./observe/logger.ts";
import type { Observer } from "./observe/observer.ts";
import { HttpClient } from "./outbound/http-client.ts";
import { createDestinationPolicy, type DestinationPolicy, type Endpoint } from "./security/ssrf.ts";
import { BLOCKED_RULES, type UrlCheck } from "./security/url-policy.ts";
import { VERSION } from "./version.ts";

/** What outbound requests may reach: nothing of our own, nor the egress proxy as if it were a destination. */
export function createPolicy(config: Config, ownEndpoints: () => readonly Endpoint[]): DestinationPolicy {
  const { allowedPrivateCidrs, egressProxy } = config;
  const proxies = egressProxy ? [{ address: egressProxy.hostname, port: egressProxy.port }] : [];
  const forbiddenEndpoints = () => [...ownEndpoints(), ...proxies];
  return createDestinationPolicy({ allowedPrivateCidrs, forbiddenEndpoints });
}

/** A connection for every attempt that may be under way: none waits for one while its deadline runs. */
export function createClient(config: Config, policy: DestinationPolicy, seams: AppSeams): HttpClient {
  const { resolver, certificateAuthorities } = seams;
  return new HttpClient({
    policy,
    proxy: config.egressProxy,
    limits: { connectionsPerOriginMax: config.deliveryConcurrency },
    ...(resolver ? { resolver } : {}),
    ...(certificateAuthorities ? { certificateAuthorities } : {}),
  });
}

export function createWorker(parts: {
  config: Config;
  logger: Logger;
  observer: Observer;
  pool: Pool;
  clock: Clock;
  client: HttpClient;
  loader: WebhookLoader<ReceivingWebhook>;
  seams: AppSeams;
  onNotice: () => void;
}): DeliveryWorker {
  const { config, logger, observer, pool, clock, client, loader, seams, onNotice } = parts;
  const limits: Limits = { ...LIMITS, ...seams.limits };
  return new DeliveryWorker({
    pool,
    logger,
    observer,
    forward: {
      client,
      clock,
      tokens: new OAuth2Tokens({
        client,
        clock,
        limits: {
          timeoutMs: LIMITS.oauth2TimeoutMs,
          answerBytesMax: LIMITS.oauth2AnswerBytesMax,
          destinationsMax: LIMITS.oauth2DestinationsMax,
          restMs: LIMITS.oauth2RestMs,
        },
      }),
      timeoutMs: config.deliveryTimeoutMs,
      responseBodyBytesMax: LIMITS.responseBodyBytesMax,
      responseHeaderBytesMax: LIMITS.responseHeaderBytesMax,
      version: VERSION,
    },
    loadWebhook: (id) => loader.refresh(id),
    schedule: config.deliveryScheduleMs,
    leaseMs: config.deliveryLeaseMs,
    occupancy: {
      max: config.deliveryConcurrency,
      destinationMax: Math.ceil(config.deliveryConcurrency * LIMITS.destinationShare),
      lineMax: LIMITS.deliveryLineMax,
      destinationLineMax: Math.ceil(LIMITS.deliveryLineMax * LIMITS.destinationShare),
      lineMs: LIMITS.deliveryLineMs,
    },
    circuits: {
      windowMs: limits.circuitWindowMs,
      attemptsMin: limits.circuitAttemptsMin,
      failureShare: limits.circuitFailureShare,
      destinationsMax: limits.circuitDestinationsMax,
      openMs: config.circuitOpenMs,
      openMsMax: config.circuitOpenMs * limits.circuitOpeningsMax,
    },
    bytesMax: LIMITS.deliveryBytesMax,
    smallBytesMax: LIMITS.deliverySmallBytesMax,
    runsMax: LIMITS.deliveryRunsMax,
    claimRowsMax: LIMITS.claimBatchRowsMax,
    parkRowsMax: LIMITS.parkRowsMax,
    laneRowsMax: LIMITS.laneRowsMax,
    claimIntervalMs: LIMITS.claimIntervalMsMax,
    quickDelayMsMax: LIMITS.quickRetryDelayMsMax,
    completeRowsMax: LIMITS.completeBatchRowsMax,
    batchRetriesMax: LIMITS.batchRetriesMax,
    onNotice,
    ...(seams.random ? { random: seams.random } : {}),
  });
}

/** Tells whoever runs the service what opens a destination that is refused as private. */
export function withAdvice(check: UrlCheck): UrlCheck {
  if (check.ok || !BLOCKED_RULES.has(check.rule)) return check;
  const advice = "ALLOWED_PRIVATE_CIDRS opens private ranges, npm run dev this machine";
  return { ...check, message: `${check.message} (${advice})` };
}
