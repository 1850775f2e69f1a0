/** Stock Connect-Web clients, and the RPCs that the generated descriptors declare. */
import { readdirSync } from "node:fs";
import type { DescMethod } from "@bufbuild/protobuf";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { ApiKeyService } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import { BulkJobService } from "../../gen/alumia/webhooks/v1/bulk_job_service_pb.ts";
import { DeliveryService } from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import { SecretCaptureService } from "../../gen/alumia/webhooks/v1/secret_capture_service_pb.ts";
import { SourceService } from "../../gen/alumia/webhooks/v1/source_service_pb.ts";
import { TraceService } from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";

const SERVICES = [
  ApiKeyService,
  BulkJobService,
  DeliveryService,
  EventService,
  ReceiveService,
  SecretCaptureService,
  SourceService,
  TraceService,
  WebhookService,
];

/** Every method of every generated service; throws where a service is missing from the list above. */
export function generatedMethods(): readonly DescMethod[] {
  const files = readdirSync(new URL("../../gen/alumia/webhooks/v1/", import.meta.url));
  const declared = files.filter((name) => name.endsWith("_service_pb.ts")).length;
  if (declared !== SERVICES.length)
    throw new Error(`${declared} services are generated, ${SERVICES.length} are listed`);
  return SERVICES.flatMap((service) => [...service.methods]);
}

/** `Service/Method`. */
export const rpcName = (method: DescMethod): string => `${method.parent.name}/${method.name}`;

export interface Clients {
  readonly apiKeys: Client<typeof ApiKeyService>;
  readonly bulkJobs: Client<typeof BulkJobService>;
  readonly deliveries: Client<typeof DeliveryService>;
  readonly events: Client<typeof EventService>;
  readonly receiving: Client<typeof ReceiveService>;
  readonly captures: Client<typeof SecretCaptureService>;
  readonly sources: Client<typeof SourceService>;
  readonly traces: Client<typeof TraceService>;
  readonly webhooks: Client<typeof WebhookService>;
}

export function createClients(transport: Transport): Clients {
  return {
    apiKeys: createClient(ApiKeyService, transport),
    bulkJobs: createClient(BulkJobService, transport),
    deliveries: createClient(DeliveryService, transport),
    events: createClient(EventService, transport),
    receiving: createClient(ReceiveService, transport),
    captures: createClient(SecretCaptureService, transport),
    sources: createClient(SourceService, transport),
    traces: createClient(TraceService, transport),
    webhooks: createClient(WebhookService, transport),
  };
}

export interface TransportOptions {
  readonly url: string;
  /** API key; undefined: none is sent. */
  readonly key: string | undefined;
  readonly fetch?: typeof fetch;
}

type MakeTransport = (options: TransportOptions) => Transport;

const common = ({ url, key, fetch: send }: TransportOptions) => ({
  baseUrl: url,
  fetch: withKey(key, send ?? fetch),
});

export const connectJson: MakeTransport = (options) =>
  createConnectTransport({ ...common(options), useBinaryFormat: false });

/** The protocols that a browser speaks. */
export const TRANSPORTS: Readonly<Record<string, MakeTransport>> = {
  "Connect JSON": connectJson,
  "Connect binary": (options) => createConnectTransport({ ...common(options), useBinaryFormat: true }),
  "gRPC-Web": (options) => createGrpcWebTransport(common(options)),
};

/** Connect with GET for methods without side effects. */
export const createGetTransport = (options: TransportOptions, useBinaryFormat: boolean): Transport =>
  createConnectTransport({ ...common(options), useBinaryFormat, useHttpGet: true });

function withKey(key: string | undefined, send: typeof fetch): typeof fetch {
  return async (input, init) => {
    const headers = new Headers(init?.headers);
    if (key !== undefined && !headers.has("authorization")) headers.set("authorization", `Bearer ${key}`);
    return await send(input, { ...init, headers });
  };
}
