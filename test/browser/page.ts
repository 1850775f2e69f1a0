/** What the page runs: stock Connect-Web clients of the API, and scenarios whose outcomes can leave the page. */
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";

export interface Target {
  readonly url: string;
  readonly key: string;
  readonly protocol: keyof typeof TRANSPORTS;
}

const TRANSPORTS = {
  "Connect JSON": (baseUrl: string) => createConnectTransport({ baseUrl, useBinaryFormat: false }),
  "Connect binary": (baseUrl: string) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "Connect GET": (baseUrl: string) => createConnectTransport({ baseUrl, useHttpGet: true }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl }),
} satisfies Record<string, (baseUrl: string) => Transport>;

function clients({ url, key, protocol }: Target) {
  const transport = TRANSPORTS[protocol](url);
  const headers = { authorization: `Bearer ${key}` };
  return {
    headers,
    webhooks: createClient(WebhookService, transport),
    events: createClient(EventService, transport),
    health: createClient(Health, transport),
  };
}

/** The refusal of a call as far as the page can read it. */
async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => new ConnectError("not refused"),
    (reason: unknown) => ConnectError.from(reason),
  );
  return {
    code: Code[error.code],
    message: error.rawMessage,
    reason: error.findDetails(ErrorInfoSchema)[0]?.reason,
    fields: error.findDetails(BadRequestSchema).flatMap((it) => it.fieldViolations.map(({ field }) => field)),
  };
}

export const scenarios = {
  async unary(target: Target, name: string) {
    const { webhooks, headers } = clients(target);
    const { webhook } = await webhooks.createWebhook({ name }, { headers });
    const { items } = await webhooks.listWebhooks({}, { headers });
    return { id: webhook?.id, listed: items.filter((it) => it.id === webhook?.id).map((it) => it.name) };
  },

  /** Content type, number of pieces, size and digest of an event's body. */
  async stream(target: Target, id: string) {
    const { events, headers } = clients(target);
    const pieces = await Array.fromAsync(events.getEventBody({ id }, { headers }), (it) => it.body);
    const bytes = await new Blob(pieces.map((it) => new Uint8Array(it?.data ?? []))).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
    return { contentType: pieces[0]?.contentType, pieces: pieces.length, size: bytes.byteLength, digest };
  },

  /** What a watch says first, and how the watch ends when the page gives it up. */
  async watch(target: Target) {
    const { health } = clients(target);
    const end = new AbortController();
    const watch = health.watch({}, { signal: end.signal })[Symbol.asyncIterator]();
    const first = await watch.next();
    const next = watch.next();
    end.abort();
    const isServing = !first.done && first.value.status === Status.SERVING;
    return { isServing, end: (await refusal(next)).code };
  },

  /** A watch that lasts until its deadline. */
  async deadline(target: Target) {
    const { health } = clients(target);
    return (await refusal(Array.fromAsync(health.watch({}, { timeoutMs: 500 })))).code;
  },

  async aborted(target: Target) {
    const { webhooks, headers } = clients(target);
    const end = new AbortController();
    const call = webhooks.listWebhooks({}, { headers, signal: end.signal });
    end.abort();
    return (await refusal(call)).code;
  },

  async invalid(target: Target) {
    const { webhooks, headers } = clients(target);
    return await refusal(webhooks.createWebhook({ name: "" }, { headers }));
  },

  async keyless(target: Target) {
    return await refusal(clients(target).webhooks.listWebhooks({}));
  },

  /** A call before the first message of whose stream there is an error. */
  async missing(target: Target, id: string) {
    const { events, headers } = clients(target);
    return await refusal(Array.fromAsync(events.getEventBody({ id }, { headers })));
  },

  /** REST by fetch alone: the status and what the page can read, or that it may read nothing. */
  async rest({ url, key }: Target, method: string, path: string, body?: string) {
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
    try {
      const answer = await fetch(`${url}${path}`, { method, headers, ...(body === undefined ? {} : { body }) });
      return { status: answer.status, allow: answer.headers.get("allow"), body: await answer.json() };
    } catch (error) {
      return { refused: (error as Error).message };
    }
  },
};

Object.assign(globalThis, { scenarios });
