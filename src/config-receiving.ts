/** Bounds of receiving that stand in LIMITS: of traces, of Linear's shared URL, of handshakes. */

export const TRACE_LIMITS = {
  /** Least time between two writes for one webhook, and between any two, milliseconds. */
  traceIntervalMs: 1_000,
  traceBatchIntervalMs: 50,
  /** Traces of one write. */
  traceBatchRowsMax: 100,
  /** Webhooks whose traces wait, or that were written for within the interval; bytes that wait. */
  traceWebhooksMax: 10_000,
  traceBytesMax: 16 * 1024 * 1024,
  /** Traces kept of one webhook and check, and of one client among them. */
  traceSlots: 8,
  traceClientSlots: 3,
  /** What is kept of a request's headers, and of its body, bytes. */
  traceContentBytesMax: 4_096,
} as const;

export const LINEAR_LIMITS = {
  /** Webhooks that the shared URL looks among: of one organization, and of all. */
  linearWebhooksPerOrganizationMax: 100,
  linearWebhooksMax: 10_000,
  /** Webhooks of Linear's that are remembered. */
  linearHintsMax: 20_000,
  /** Bytes hashed to find the webhook of one request. */
  linearSearchBytesMax: 64 * 1024 * 1024,
  /** Requests that wait for that, of one client and of all. */
  linearSearchesPerClientMax: 32,
  linearSearchesMax: 512,
} as const;

export const HANDSHAKE_LIMITS = {
  /** URLs of providers that are being fetched to confirm them, or are remembered. */
  urlConfirmationsMax: 1_000,
  /** How long one is remembered that could be fetched, and one that could not, milliseconds. */
  urlConfirmationRememberMs: 60_000,
  urlConfirmationRetryMs: 5_000,
} as const;
