/** Composition root: builds everything, starts it in order, stops it in the opposite order. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Pool } from "pg";
import { createClient, createPolicy, createWorker, withAdvice } from "./app-delivery.ts";
import { createHistory } from "./app-history.ts";
import { createObserving, metricsPlace, type Observing } from "./app-observing.ts";
import { createPublishedKeys } from "./app-published-keys.ts";
import { createReceiving } from "./app-receiving.ts";
import { createUpkeep } from "./app-upkeep.ts";
import { type Clock, systemClock } from "./clock.ts";
import { addressRanges, type Config, ConfigError, LIMITS, type Limits, partitionPlan } from "./config.ts";
import { ApiKeys } from "./core/api-keys.ts";
import { bootstrap } from "./core/bootstrap.ts";
import { noteDatabaseTime } from "./core/ids.ts";
import { ReceivingWebhook } from "./core/receiving-webhook.ts";
import { SecretCaptures } from "./core/secret-captures.ts";
import { Signatures } from "./core/signatures.ts";
import { WebhookLoader } from "./core/webhook-loader.ts";
import { Webhooks } from "./core/webhooks.ts";
import type { DeliveryWorker } from "./delivery/worker.ts";
import { BodyBudget } from "./edge/body-budget.ts";
import { checkPort, listenOrExplain, mainPlace, originOf } from "./edge/listen.ts";
import { Listener, type ListenerCounts } from "./edge/listener.ts";
import { READINESS_MS, remember } from "./edge/readiness.ts";
import { createRouter } from "./edge/router.ts";
import { openTls, type TlsGate } from "./edge/tls.ts";
import { Watchdog } from "./edge/watchdog.ts";
import type { Logger } from "./observe/logger.ts";
import { createRpcServer } from "./rpc/server.ts";
import { createSecretBox, type SealedPurpose, type SecretBox } from "./security/secret-box.ts";
import { checkDestinationUrl, type Resolver } from "./security/ssrf.ts";
import { openMasterKey } from "./store/local-secrets.ts";
import type { Maintenance } from "./store/maintenance.ts";
import { databaseNow } from "./store/sql/lease.ts";
import type { WebhookRecord } from "./store/sql/lookup.ts";
import { openStore, type Store } from "./store/store.ts";

/** Seams for tests; the defaults are the real things. */
export interface AppSeams {
  readonly clock?: Clock;
  readonly resolver?: Resolver;
  /** PEM certificates that outbound requests trust instead of the system's. */
  readonly certificateAuthorities?: string;
  /** Where a vendor's key is fetched in place of its own URL, and PEM roots in place of the public ones. */
  readonly vendorKeys?: { readonly urlOf: (url: string) => string; readonly roots: readonly string[] };
  readonly random?: () => number;
  /** Bounds of the port that take the place of those in LIMITS. */
  readonly limits?: Partial<Limits>;
  /** Whether the first API key may be generated: false where nobody would see it. True by default. */
  readonly generateBootstrapKey?: boolean;
  /** Keeps the first API key where its owner finds it; called before the key comes into force. */
  readonly keepBootstrapKey?: (key: string) => Promise<void>;
}

export interface App {
  /** Origin under which the port answers. */
  readonly url: string;
  readonly port: number;
  /** Plaintext of the first API key, if this start made it. */
  readonly bootstrapKey: string | undefined;
  /** Whether there is no API key at all yet. */
  readonly keyless: boolean;
  readonly pool: Pool;
  /** The pool that looks webhooks up. */
  readonly webhookLookups: Pool;
  readonly worker: DeliveryWorker;
  readonly maintenance: Maintenance;
  /** Where the metrics are shown; undefined for nowhere. */
  readonly metricsUrl: string | undefined;
  /** What is open at the port. */
  counts(): ListenerCounts;
  /** Bytes of request bodies in memory. */
  bodyBytes(): number;
  /** Stops accepting, finishes what is under way within the grace, releases leases. May be called twice. */
  stop(): Promise<void>;
}

/** Starts the service. Rejects with a ConfigError where a setting is at fault; what was started is stopped again. */
export async function startApp(config: Config, logger: Logger, seams: AppSeams = {}): Promise<App> {
  const limits: Limits = { ...LIMITS, ...seams.limits };
  const tls = config.tls && openTls(config.tls, limits, logger);
  for (const place of [mainPlace(config), metricsPlace(config)]) if (place) await checkPort(place);
  const master = config.masterKey ?? (await openMasterKey(config.dataDir));
  const box = createSecretBox({ master, old: config.masterKeysOld });
  const store = await openStore({
    databaseUrl: config.databaseUrl,
    dataDir: config.dataDir,
    logger,
    hotConnectionsMax: LIMITS.hotPoolConnectionsMax,
    ormConnectionsMax: LIMITS.ormPoolConnectionsMax,
    lookupConnectionsMax: LIMITS.lookupPoolConnectionsMax,
    statementTimeoutMs: LIMITS.statementTimeoutMs,
    connectTimeoutMs: LIMITS.connectTimeoutMs,
    partitions: partitionPlan(config),
  });
  const observing = await createObserving(config, logger, limits);
  try {
    await checkMasterKey(store.pool, box);
    noteDatabaseTime(await databaseNow(store.pool));
    return await serve({ config, logger, store, box, seams, limits, tls, observing });
  } catch (error) {
    await observing.close();
    await store.close();
    throw error;
  }
}

/** A wrong key would refuse every webhook; better no start at all. */
async function checkMasterKey(pool: Pool, box: SecretBox): Promise<void> {
  const { rows } = await pool.query<{
    organization_id: string;
    webhook_id: string;
    purpose: SealedPurpose;
    sealed: Buffer;
  }>("select organization_id, webhook_id, purpose, sealed from webhook_secrets order by created_at desc limit 1");
  const newest = rows[0];
  if (!newest) return;
  const { organization_id: organizationId, webhook_id: webhookId, purpose } = newest;
  try {
    box.open(newest.sealed, { organizationId, webhookId, purpose });
  } catch {
    throw new ConfigError(
      "MASTER_KEY does not open the secrets in this database; use the key they were sealed with, or add it to MASTER_KEYS_OLD",
    );
  }
}

/** What a start has checked before it builds anything that runs. */
interface Foundation {
  readonly config: Config;
  readonly logger: Logger;
  readonly store: Store;
  readonly box: SecretBox;
  readonly seams: AppSeams;
  readonly limits: Limits;
  readonly tls: TlsGate | undefined;
  readonly observing: Observing;
}

async function serve({ config, logger, store, box, seams, limits, tls, observing }: Foundation): Promise<App> {
  const { pool, orm } = store;
  const { observer } = observing;
  const clock = seams.clock ?? systemClock;
  let port = config.port;
  const ownEndpoints = () => [{ address: config.host, port }, ...observing.endpoints, ...store.endpoints];
  const policy = createPolicy(config, ownEndpoints);
  const onUnusable = (webhook: string, err: unknown) =>
    logger.error({ webhook, err }, "a stored secret cannot be used");
  const prepare = (record: WebhookRecord) => new ReceivingWebhook(record, box, onUnusable);
  const loader = new WebhookLoader({
    pool: store.webhookLookups,
    prepare,
    entriesMax: LIMITS.webhookCacheEntriesMax,
    batchMax: limits.lookupBatchMax,
    waitingMax: limits.lookupsWaitingMax,
    intervalMs: LIMITS.webhookLookupIntervalMs,
  });
  const client = createClient(config, policy, seams);
  const onNotice = () => upkeep.teller.wake();
  const worker = createWorker({ config, logger, observer, pool, clock, client, loader, seams, onNotice });
  const wake = () => worker.wake();
  const upkeep = createUpkeep({ config, limits, logger, pool: store.upkeepPool, loader, wake });
  const { keys, fetch, close: closeKeys } = createPublishedKeys({ config, policy, clock, logger, limits, seams });
  const webhooks = new Webhooks({
    orm,
    pool,
    box,
    clock,
    checkUrl: (url) => withAdvice(checkDestinationUrl(url, policy)),
    leaseMs: config.deliveryLeaseMs,
    wake,
    maintain: () => upkeep.maintenance.wake(),
    onNotice,
  });
  const captures = new SecretCaptures({ pool, box, webhooks });
  const means = { config, limits, logger, observer, store, clock };
  const receiving = createReceiving({ ...means, loader, prepare, keys, fetch, captures, handover: worker });
  const { recorder, receiver, linear } = receiving;
  const apiKeys = new ApiKeys({ orm, pool, lookups: store.keyLookups, clock, production: config.production, limits });
  const checkStore = remember(READINESS_MS, () => store.check().catch(() => false));
  const readiness = async () => ({ store: await checkStore(), delivery: worker.alive });
  const { runner, ...history } = createHistory({ config, limits, logger, observer, store, wake });
  const rpc = createRpcServer({
    webhooks,
    captures,
    ...history,
    apiKeys,
    signatures: new Signatures({ loader, receiver, keys, clock, publicUrl: config.publicUrl }),
    receiver,
    linear,
    publicUrl: config.publicUrl,
    logger,
    payloadBytesMax: config.maxPayloadBytes,
    bodyChunkBytes: LIMITS.bodyChunkBytes,
    readiness,
    limits,
  });
  const watchdog = new Watchdog(limits);
  const budget = new BodyBudget(limits);
  const stopping = new AbortController();
  const trustedProxies = addressRanges(config.trustedProxyCidrs);
  const origin = () => originOf(config, port);
  const router = createRouter({
    rpc,
    receiver,
    linear,
    logger,
    readiness,
    publicUrl: config.publicUrl,
    trustedProxies,
    corsOrigins: config.corsOrigins,
    corsMaxAgeSeconds: LIMITS.corsMaxAgeSeconds,
    fallbackOrigin: origin,
    payloadBytesMax: config.maxPayloadBytes,
    apiBodyBytesMax: Math.max(LIMITS.apiBodyBytesMax, 2 * config.maxPayloadBytes),
    budget,
    jsonDepthMax: LIMITS.jsonDepthMax,
    compressBytesMin: LIMITS.compressBytesMin,
    timeoutMsMax: LIMITS.timeoutMsMax,
    watchdog,
    stopping: stopping.signal,
  });
  const onFailure = (err: Error) => logger.error({ err }, "the listener failed to accept a connection");
  const listener = new Listener(router.request, limits, onFailure, {
    tls,
    trustedPeers: trustedProxies,
    watchdog,
    handleStream: router.stream,
  });
  await observing.show({ store, listener, budget, recorder, worker, client, readiness });
  port = await listenOrExplain(listener, mainPlace(config));
  // Only now: a key made by a start that then fails would be shown to nobody.
  const bootstrapping = bootstrap({
    pool,
    apiKeys,
    production: config.production,
    key: config.bootstrapApiKey,
    generate: seams.generateBootstrapKey ?? true,
    keep: seams.keepBootstrapKey,
  });
  const { key: bootstrapKey, keyless } = await bootstrapping.catch(async (error: unknown) => {
    await listener.close(0);
    throw error;
  });
  worker.start();
  upkeep.start();
  runner.start();

  const stopAll = async () => {
    stopping.abort();
    const untilMs = performance.now() + config.shutdownGraceMs;
    const graceMs = () => Math.max(untilMs - performance.now(), 0);
    const cut = { requests: 0, events: 0, deliveries: 0 };
    const steps: [string, () => Promise<unknown>][] = [
      ["listener", async () => (cut.requests = await listener.close(graceMs()))],
      ["receiving", async () => (cut.events = await receiving.drain(graceMs()))],
      ["delivery", async () => (cut.deliveries = await worker.stop(graceMs()))],
      ["bulk jobs", () => Promise.race([runner.stop(), sleep(graceMs(), undefined, { ref: false })])],
      ["upkeep", () => Promise.race([upkeep.stop(), sleep(graceMs(), undefined, { ref: false })])],
      ["client", () => Promise.all([client.close(), closeKeys()])],
      ["observing", () => Promise.race([observing.close(), sleep(graceMs(), undefined, { ref: false })])],
      ["store", () => store.close()],
    ];
    for (const [part, stopPart] of steps) {
      await stopPart().catch((err: unknown) => logger.error({ part, err }, "a part did not stop cleanly"));
    }
    if (Object.values(cut).some((count) => count > 0)) {
      logger.warn(cut, "the grace of the stop was over before what was under way: it was cut off");
    }
  };
  let stopped: Promise<void> | undefined;
  return {
    url: origin(),
    port,
    bootstrapKey,
    keyless,
    pool,
    webhookLookups: store.webhookLookups,
    worker,
    maintenance: upkeep.maintenance,
    metricsUrl: observing.metricsUrl,
    counts: () => listener.counts(),
    bodyBytes: () => budget.bytes,
    stop: () => {
      stopped ??= stopAll();
      return stopped;
    },
  };
}
