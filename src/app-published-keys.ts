/** The part of the composition root that fetches vendors' keys: a guarded client of its own, and the keys it keeps. */
import { rootCertificates } from "node:tls";
import type { AppSeams } from "./app.ts";
import type { Clock } from "./clock.ts";
import type { Config, Limits } from "./config.ts";
import { type KeyFetch, PublishedKeys } from "./core/published-keys.ts";
import type { Logger } from "./observe/logger.ts";
import { fetchBounded } from "./outbound/fetch.ts";
import { HttpClient } from "./outbound/http-client.ts";
import type { DestinationPolicy } from "./security/ssrf.ts";

export function createPublishedKeys(parts: {
  config: Config;
  policy: DestinationPolicy;
  clock: Clock;
  logger: Logger;
  limits: Limits;
  seams: AppSeams;
}): { readonly keys: PublishedKeys; readonly fetch: KeyFetch; readonly close: () => Promise<void> } {
  const { config, policy, clock, logger, limits, seams } = parts;
  const client = createClient(config, policy, limits, seams);
  const fetch: KeyFetch = async ({ url, post }) => {
    const fetched = await fetchBounded(client, seams.vendorKeys?.urlOf(url) ?? url, {
      ...(post === undefined
        ? {}
        : { method: "POST", headers: [["content-type", "application/json"]], body: Buffer.from(post) }),
      timeoutMs: limits.publishedKeyTimeoutMs,
      bodyBytesMax: limits.publishedKeyBytesMax,
      peer: "The vendor",
    });
    if (!fetched.ok) throw new Error(fetched.failure.message);
    return { status: fetched.statusCode, body: fetched.body };
  };
  const keys = new PublishedKeys({
    fetch,
    clock,
    roots: seams.vendorKeys?.roots ?? rootCertificates,
    keysMax: limits.publishedKeysMax,
    ttlMs: limits.publishedKeyTtlMs,
    refreshMs: limits.publishedKeyRefreshMs,
    unknownTtlMs: limits.publishedKeyUnknownMs,
    fetchesMax: limits.publishedKeyFetchesMax,
    webhookFetchesPerMinuteMax: limits.publishedKeyFetchesPerWebhookMinuteMax,
    organizationFetchesPerMinuteMax: limits.publishedKeyFetchesPerOrganizationMinuteMax,
    keysPerRequestMax: limits.publishedKeysPerRequestMax,
    onFailure: (url, err) => logger.warn({ url, err }, "a vendor's signing key could not be fetched"),
  });
  return { keys, fetch, close: () => client.close() };
}

/** Deliveries must not take the connections that verifying needs. */
function createClient(
  config: Config,
  policy: DestinationPolicy,
  limits: Limits,
  { resolver, certificateAuthorities }: AppSeams,
): HttpClient {
  const connections = limits.publishedKeyFetchesMax;
  return new HttpClient({
    policy,
    proxy: config.egressProxy,
    limits: { connectionsMax: connections, connectionsPerOriginMax: connections, waitersMax: connections },
    ...(resolver ? { resolver } : {}),
    ...(certificateAuthorities ? { certificateAuthorities } : {}),
  });
}
