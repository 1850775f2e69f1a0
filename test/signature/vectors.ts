/** Signed requests: `shared.json` by vendors' code or docs, `own.json` by the openssl command line (see make.ts). */
import { createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import type { CompiledScheme } from "../../src/signature/compile.ts";
import type { KeyLookup } from "../../src/signature/needed-key.ts";
import { findSource, generateSecretFor } from "../../src/signature/source.ts";
import type { Verdict } from "../../src/signature/verdict.ts";
import { chooseScheme } from "../../src/signature/verify.ts";
import { inbound, judge, T } from "./inbound-request.ts";

export interface Vector {
  readonly provider: string;
  readonly origin: string;
  readonly impl: string;
  readonly secret?: string;
  /** Seconds since 1970, or milliseconds. */
  readonly timestamp?: number;
  readonly method?: string;
  readonly url?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly checks: Readonly<Record<string, boolean | number>>;
  // What stands in place of `secret` in some.
  readonly publicKeyHex?: string;
  readonly publicKeySpkiBase64?: string;
  readonly apiKey?: string;
  readonly webhookId?: string;
  readonly publicKeyPem?: string;
  readonly jwk?: Readonly<Record<string, string>>;
}

function read(name: string): readonly Vector[] {
  const file = new URL(`vectors/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { vectors: Vector[] }).vectors;
}

/** No signed requests: what a library says of secrets, and a handshake that nobody signs. */
export const NO_REQUESTS = ["standardwebhooks-secret-forms", "x-crc"];

const all = [...read("shared"), ...read("own")];
export const VECTORS = all.filter(({ provider }) => !NO_REQUESTS.includes(provider));

export function vectorOf(provider: string): Vector {
  const found = all.find((candidate) => candidate.provider === provider);
  if (found === undefined) throw new Error(`no vector ${provider}`);
  return found;
}

/** Vectors that are named after more than their source. */
const SOURCE_OF: Readonly<Record<string, string>> = {
  "stripe-rotation": "stripe",
  "github-docs-example": "github",
  "standardwebhooks-published": "standardwebhooks",
  "slack-docs-example": "slack",
  "twilio-form": "twilio",
  "twilio-json-bodySHA256": "twilio",
  "hubspot-v1-published": "hubspot",
  "hubspot-v2-published": "hubspot",
  "zoom-url-validation": "zoom",
};

/** The source of a vector, by its own name. */
export function sourceOf({ provider }: Vector): string {
  const name = SOURCE_OF[provider] ?? provider;
  const source = findSource(name);
  if (source.name === "custom" && name !== "custom") throw new Error(`no source for the vector ${provider}`);
  return source.name;
}

/** The text of the webhook's secret. */
export function secretOf(vector: Vector): string {
  const { secret, apiKey, publicKeyHex, publicKeySpkiBase64, webhookId } = vector;
  if (vector.jwk) return "sandbox:client0123:secret0123";
  const text = apiKey ? `${apiKey}:${secret}` : (secret ?? publicKeyHex ?? publicKeySpkiBase64 ?? webhookId);
  if (text === undefined) throw new Error(`the vector ${vector.provider} has no secret`);
  return text;
}

/** The key that its vendor publishes. */
export function publishedKey({ jwk, publicKeyPem }: Vector): KeyObject | undefined {
  if (jwk) return createPublicKey({ key: jwk, format: "jwk" });
  return publicKeyPem === undefined ? undefined : createPublicKey(publicKeyPem);
}

/** Its time, milliseconds since 1970. */
export function timeOf({ timestamp = T }: Vector): number {
  return timestamp > 10_000_000_000 ? timestamp : timestamp * 1000;
}

export interface Changes {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly url?: string;
  readonly secret?: string;
  /** Milliseconds after its own time. */
  readonly afterMs?: number;
  readonly published?: KeyObject;
}

export function requestOf({ headers, body, url, method }: Vector, changes: Changes = {}) {
  const at = changes.url ?? url;
  return inbound(changes.headers ?? headers, changes.body ?? body, {
    ...(method === undefined ? {} : { method }),
    ...(at === undefined ? {} : { url: at }),
  });
}

/** The verdict on a vector, changed or not. */
export function judgeVector(vector: Vector, changes: Changes = {}, source = sourceOf(vector)): Verdict {
  const key = changes.published ?? publishedKey(vector);
  const fetched: KeyLookup = () => key;
  const secret = changes.secret ?? secretOf(vector);
  const nowSeconds = (timeOf(vector) + (changes.afterMs ?? 0)) / 1000;
  return judge(source, secret, requestOf(vector, changes), nowSeconds, fetched);
}

/** The form of its source that it bears. */
export function schemeOf(vector: Vector): CompiledScheme {
  const scheme = chooseScheme(findSource(sourceOf(vector)), requestOf(vector));
  if ("check" in scheme) throw new Error(`the vector ${vector.provider} bears no form: ${scheme.reason}`);
  return scheme;
}

const ed25519 = () => generateKeyPairSync("ed25519").publicKey.export({ format: "der", type: "spki" }).subarray(-32);

/** Another secret of the kind that the vector's source takes; undefined where any may do, because a key is published. */
export function otherSecret(vector: Vector): string | undefined {
  switch (sourceOf(vector)) {
    case "discord":
      return ed25519().toString("hex");
    case "telnyx":
      return ed25519().toString("base64");
    case "standardwebhooks-v1a":
      return `whpk_${ed25519().toString("base64")}`;
    case "sendgrid":
      return generateKeyPairSync("ec", { namedCurve: "P-256" })
        .publicKey.export({ format: "der", type: "spki" })
        .toString("base64");
    case "livekit":
      return `${vector.apiKey}:another secret`;
    case "paypal":
      return "0JE4291016473214C";
    case "aws-sns":
      return "arn:aws:sns:eu-west-1:123456789012:another";
    case "plaid":
      return undefined;
    default:
      return generateSecretFor(findSource(sourceOf(vector)));
  }
}
