/** How a webhook forwards: message ↔ what use cases take and show. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type ClientCertificate,
  type ForwardingAuth,
  ForwardingAuthSchema,
  type Forwarding as ForwardingMessage,
  ForwardingSchema,
} from "../../gen/alumia/webhooks/v1/forwarding_pb.ts";
import type { AuthSettings, CertificateSettings } from "../core/destination-credentials.ts";
import { NO_FORWARDING } from "../core/forwarding-view.ts";
import type { WebhookPatch } from "../core/webhook-settings.ts";
import type { WebhookView } from "../core/webhook-view.ts";
import { invalidField } from "../errors.ts";
import { maskPaths } from "./mask-paths.ts";
import { timestamp } from "./timestamp.ts";
import { shown } from "./well-formed.ts";

type ForwardingPatch = Pick<WebhookPatch, "forwardingState" | "credentials" | "ed25519">;

/** Fields that a client writes, by their proto names; a path below one names the whole field, which is one value. */
const TAKES: Readonly<Record<string, (forwarding: ForwardingMessage | undefined) => ForwardingPatch>> = {
  state: (forwarding) => (forwarding?.state ? { forwardingState: forwarding.state } : {}),
  headers: (forwarding) => ({ credentials: { headers: forwarding?.headers ?? null } }),
  auth: (forwarding) => ({ credentials: { auth: forwarding?.auth ? authOf(forwarding.auth) : null } }),
  client_certificate: (forwarding) => ({ credentials: { certificate: certificateOf(forwarding?.clientCertificate) } }),
  ed25519: (forwarding) => ({ ed25519: forwarding?.ed25519 ?? false }),
};

/** What a full replacement resets where it is not given. */
export const REPLACEABLE_FORWARDING = ["headers", "auth", "client_certificate", "ed25519"];

const PATHS = maskPaths(ForwardingSchema);

/** The patch that mask paths below `forwarding` pick out of it. A field that is named and not set means "none". */
export function forwardingPatch(forwarding: ForwardingMessage | undefined, paths: readonly string[]): ForwardingPatch {
  let patch: ForwardingPatch = {};
  for (const path of paths) {
    const take = PATHS.has(path) ? TAKES[path.split(".", 1)[0] ?? ""] : undefined;
    if (!take) throw invalidField("updateMask", "unknown", `names no field of a webhook: "forwarding.${shown(path)}"`);
    const { credentials, ...taken } = take(forwarding);
    patch = { ...patch, ...taken, ...(credentials && { credentials: { ...patch.credentials, ...credentials } }) };
  }
  return patch;
}

/** Paths of the fields that are set. */
export function populatedForwarding(forwarding: ForwardingMessage | undefined): string[] {
  if (!forwarding) return [];
  return [
    ...(forwarding.state === undefined ? [] : ["state"]),
    ...(Object.keys(forwarding.headers).length === 0 ? [] : ["headers"]),
    ...(forwarding.auth === undefined ? [] : ["auth"]),
    ...(forwarding.clientCertificate === undefined ? [] : ["client_certificate"]),
    ...(forwarding.ed25519 === undefined ? [] : ["ed25519"]),
  ];
}

function authOf({ scheme }: ForwardingAuth): AuthSettings {
  switch (scheme.case) {
    case "basic":
      return { type: "basic", username: scheme.value.username, password: scheme.value.password };
    case "bearer":
      return { type: "bearer", token: scheme.value.token };
    case "apiKey":
      return { type: "apiKey", name: scheme.value.name, value: scheme.value.value };
    case "oauth2": {
      const { tokenUrl, clientId, clientSecret, scope = null, audience = null } = scheme.value;
      const clientAuthentication = scheme.value.clientAuthentication === "body" ? "body" : "basic";
      return { type: "oauth2", tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication };
    }
    default:
      throw invalidField("forwarding.auth", "required", "must hold basic, bearer, apiKey or oauth2");
  }
}

function certificateOf(message: ClientCertificate | undefined): CertificateSettings | null {
  return message ? { certificate: message.certificate, key: message.key } : null;
}

/** What most webhooks have: one message for all of them, which nobody changes. */
const PLAIN = Object.freeze(
  create(ForwardingSchema, { state: "active", ed25519: false, circuit: { state: "closed" } }),
);

/** Whether events reach the webhook's url, and what its destination is shown. */
export function forwardingMessage({ webhook, forwarding, lane, failingSince }: WebhookView): ForwardingMessage {
  const isStopped = webhook.forwardingStoppedAt || webhook.forwardingReason;
  if (forwarding === NO_FORWARDING && !isStopped && !lane?.circuit && !failingSince) return PLAIN;
  const { headers, auth, certificate, publicKeys } = forwarding;
  return create(ForwardingSchema, {
    state: webhook.forwardingStoppedAt ? "stopped" : "active",
    ...(webhook.forwardingReason && { reason: webhook.forwardingReason }),
    ...(webhook.forwardingStoppedAt && { stoppedAt: timestamp(webhook.forwardingStoppedAt) }),
    ...(failingSince && { failingSince: timestamp(failingSince) }),
    headers: Object.fromEntries(headers),
    ...(auth && { auth: authMessage(auth) }),
    ...(certificate && {
      clientCertificate: { ...certificate, expiresAt: timestamp(certificate.expiresAt) },
    }),
    ed25519: publicKeys.length > 0,
    publicKeys: [...publicKeys],
    circuit: {
      state: lane?.circuit ?? "closed",
      ...(lane?.openedAt && { openedAt: timestamp(lane.openedAt) }),
      ...(lane?.circuit === "open" && lane.circuitUntil && { nextProbeAt: timestamp(lane.circuitUntil) }),
    },
  } satisfies MessageInitShape<typeof ForwardingSchema>);
}

function authMessage(auth: AuthSettings): ForwardingAuth {
  if (auth.type !== "oauth2") {
    const { type, ...value } = auth;
    return create(ForwardingAuthSchema, { scheme: { case: type, value } } as MessageInitShape<
      typeof ForwardingAuthSchema
    >);
  }
  const { tokenUrl, clientId, clientSecret, scope, audience, clientAuthentication } = auth;
  const optional = { ...(scope !== null && { scope }), ...(audience !== null && { audience }) };
  const value = { tokenUrl, clientId, clientSecret, clientAuthentication, ...optional };
  return create(ForwardingAuthSchema, { scheme: { case: "oauth2", value } });
}
