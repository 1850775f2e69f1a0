/**
 * The headers of a forwarded event: the provider's own, so that a consumer's existing verification code works,
 * without those that belong to one hop, one holder of credentials or one proxy; and ours. Pure.
 */

type Header = readonly [name: string, value: string];

/** How many gateways of this kind an event may pass; the caller refuses to forward past it. */
export const HOPS_MAX = 5;

/** The event as far as its headers need it. */
export interface ForwardedEvent {
  readonly id: string;
  readonly type: string;
  /** As received: names in any case, repeated names in order. */
  readonly headers: readonly Header[];
}

export interface ForwardContext {
  readonly webhookId: string;
  /** From 1. */
  readonly attemptNumber: number;
  /** Seconds since the Unix epoch, the time that was signed. */
  readonly timestampSeconds: number;
  /** The value of webhook-signature; null: the event is unverified and goes unsigned. */
  readonly signature: string | null;
  /** The service's version, for the user agent. */
  readonly version: string;
  /** The value of our own traceparent (W3C Trace Context); null or undefined: the provider's, if any, is left alone. */
  readonly traceparent?: string | null;
  /** Further names, lower case, that hold the inbound secret itself (token schemes name theirs). */
  readonly credentialHeaders?: readonly string[];
}

/** Names that belong to one connection, are made anew for ours, or are credentials. */
const DROPPED = new Set([
  // Hop by hop (RFC 9110 §7.6.1), with those that older software treats so.
  ...[
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
  ],
  // Of the request itself; ours has its own.
  ...["host", "content-length", "expect", "accept-encoding", "max-forwards"],
  // Credentials, and what inbound schemes carry the secret itself in.
  ...["authorization", "proxy-authorization", "proxy-authenticate", "authentication-info", "cookie", "cookie2"],
  ...["set-cookie", "x-api-key", "api-key", "apikey", "x-auth-token", "x-access-token", "x-csrf-token"],
  ...["x-xsrf-token", "x-amz-security-token", "x-goog-iap-jwt-assertion", "x-gitlab-token", "x-buildkite-token"],
  "x-telegram-bot-api-secret-token",
  // What proxies in front of us say about the sender and the way.
  ...["forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "true-client-ip", "x-original-host"],
  ...["x-original-url", "x-original-uri", "x-rewrite-url", "x-host", "x-scheme", "x-forward-for", "cdn-loop"],
  ...["x-amzn-trace-id", "x-cloud-trace-context", "x-appengine-user-ip", "client-ip", "fastly-client-ip"],
]);

/** Families of names that proxies use (`alumia-`: ours, from a gateway before this one). */
const DROPPED_PREFIXES = ["x-forwarded-", "cf-", "x-envoy-", "fly-", "x-vercel-", "x-arr-", "alumia-"];

/** The names of ours that a provider may use too; theirs travel as `original-…`. */
const RENAMED = /^(?:webhook-.*|user-agent)$/;
/** With a trace of our own they are too. */
const RENAMED_TRACED = /^(?:webhook-.*|user-agent|traceparent|tracestate)$/;

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A field value (RFC 9110 §5.5): visible characters, blanks and obs-text, one byte each. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** The final header list of an attempt, names in lower case, the provider's first. */
export function buildForwardHeaders(event: ForwardedEvent, context: ForwardContext): Header[] {
  const headers = [...providerHeaders(event.headers, context), ...ownHeaders(event, context)];
  return headers.filter(([name, value]) => NAME.test(name) && VALUE.test(value));
}

/**
 * How many gateways of this kind the event has passed: 0 without the header, HOPS_MAX + 1 for a value that is no
 * count, so that a loop cannot hide behind it. An event at HOPS_MAX or more must not be forwarded.
 */
export function hopsOf(headers: readonly Header[]): number {
  const values = headers.filter(([name]) => name.toLowerCase() === "alumia-hops").map(([, value]) => value.trim());
  return Math.max(0, ...values.map((value) => (/^\d{1,3}$/.test(value) ? Number(value) : HOPS_MAX + 1)));
}

function ownHeaders(event: ForwardedEvent, context: ForwardContext): Header[] {
  return [
    ["user-agent", `Alumia-Webhooks/${context.version}`],
    ["webhook-id", event.id],
    ["webhook-timestamp", String(context.timestampSeconds)],
    ...(context.signature === null ? [] : [["webhook-signature", context.signature] as const]),
    ["alumia-hops", String(hopsOf(event.headers) + 1)],
    ["alumia-event-type", event.type],
    ["alumia-attempt", String(context.attemptNumber)],
    ["alumia-webhook-id", context.webhookId],
    ...(context.traceparent ? [["traceparent", context.traceparent] as const] : []),
  ];
}

function providerHeaders(received: readonly Header[], context: ForwardContext): Header[] {
  const { credentialHeaders = [], traceparent } = context;
  const renamed = traceparent ? RENAMED_TRACED : RENAMED;
  const headers = received.map(([name, value]): Header => [name.toLowerCase(), value]);
  const dropped = new Set([...connectionOptions(headers), ...credentialHeaders]);
  const names = new Set(headers.map(([name]) => name));
  return headers.flatMap(([name, value]): Header[] => {
    if (DROPPED.has(name) || dropped.has(name)) return [];
    if (DROPPED_PREFIXES.some((prefix) => name.startsWith(prefix))) return [];
    if (renamed.test(name)) return [[`original-${name}`, value]];
    // A name that a gateway before this one gave; the latest provider's own takes its place.
    const isReplaced = name.startsWith("original-") && names.has(name.slice(9)) && renamed.test(name.slice(9));
    return isReplaced ? [] : [[name, value]];
  });
}

/** The headers that Connection names as this hop's own (RFC 9110 §7.6.1). */
function connectionOptions(headers: readonly Header[]): string[] {
  return headers
    .filter(([name]) => name === "connection")
    .flatMap(([, value]) => value.split(",").map((option) => option.trim().toLowerCase()));
}
