/** All services with what every call passes through, for the RPC protocols and the REST transcoder alike. */
import type { DescService } from "@bufbuild/protobuf";
import {
  type ConnectRouter,
  createServiceImplSpec,
  type HandlerContext,
  type Interceptor,
  type MethodImpl,
  type ServiceImplSpec,
} from "@connectrpc/connect";
import { ApiKeyService } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import { BulkJobService } from "../../gen/alumia/webhooks/v1/bulk_job_service_pb.ts";
import { DeliveryService } from "../../gen/alumia/webhooks/v1/delivery_service_pb.ts";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { ReceiveService } from "../../gen/alumia/webhooks/v1/receive_service_pb.ts";
import { SecretCaptureService } from "../../gen/alumia/webhooks/v1/secret_capture_service_pb.ts";
import { SourceService } from "../../gen/alumia/webhooks/v1/source_service_pb.ts";
import { TraceService } from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import type { ApiKeys } from "../core/api-keys.ts";
import type { BulkJobs } from "../core/bulk-jobs.ts";
import type { Deliveries } from "../core/deliveries.ts";
import type { Events } from "../core/events.ts";
import type { LinearReceiver } from "../core/linear-receiver.ts";
import type { Receiver } from "../core/receive.ts";
import type { SecretCaptures } from "../core/secret-captures.ts";
import type { Signatures } from "../core/signatures.ts";
import type { TraceLists } from "../core/trace-lists.ts";
import type { Webhooks } from "../core/webhooks.ts";
import type { Logger } from "../observe/logger.ts";
import { apiKeyService } from "./api-keys.ts";
import { bulkJobService } from "./bulk-jobs.ts";
import { deliveryService } from "./deliveries.ts";
import { eventService } from "./events.ts";
import { createRequestGate, type GateLimits } from "./gate.ts";
import { createErrorInterceptor, createStoreInterceptor, createValidationInterceptor } from "./interceptors.ts";
import {
  INTROSPECTION,
  type IntrospectionLimits,
  type IntrospectionOptions,
  introspectionServices,
} from "./introspection.ts";
import { receiveService } from "./receive.ts";
import { secretCaptureService } from "./secret-captures.ts";
import { sourceService } from "./sources.ts";
import { traceService } from "./traces.ts";
import { webhookService } from "./webhooks.ts";

export interface RpcOptions extends IntrospectionOptions {
  readonly webhooks: Webhooks;
  readonly events: Events;
  readonly captures: SecretCaptures;
  readonly traces: TraceLists;
  readonly deliveries: Deliveries;
  readonly bulkJobs: BulkJobs;
  readonly apiKeys: ApiKeys;
  readonly signatures: Signatures;
  readonly receiver: Receiver;
  readonly linear: LinearReceiver;
  readonly logger: Logger;
  /** The origin at which providers reach us, where it is known. */
  readonly publicUrl: string | undefined;
  readonly payloadBytesMax: number;
  readonly bodyChunkBytes: number;
  readonly limits: RpcLimits;
}

export interface RpcLimits extends IntrospectionLimits, GateLimits {
  /** Size of one question of a reflection stream, bytes. */
  readonly introspectionRequestBytesMax: number;
}

/** How much a payload grows in JSON. */
const BASE64_GROWTH = 4 / 3;

export interface RpcServer {
  /** Adds the services to a Connect router, which serves gRPC, gRPC-Web and Connect. */
  readonly register: (router: ConnectRouter) => void;
  readonly services: readonly ServiceImplSpec[];
  /** Bounds of the request messages of services that take less than the edge does, bytes. */
  readonly bytesMax: ReadonlyMap<DescService, number>;
  readonly interceptors: Interceptor[];
  readonly requestGate: (context: HandlerContext) => Promise<void>;
}

export function createRpcServer(options: RpcOptions): RpcServer {
  const { webhooks, captures, events, traces, deliveries, apiKeys, signatures } = options;
  const implementations = [
    createServiceImplSpec<typeof WebhookService>(WebhookService, webhookService(webhooks, signatures)),
    createServiceImplSpec<typeof SecretCaptureService>(SecretCaptureService, secretCaptureService(captures)),
    createServiceImplSpec<typeof EventService>(EventService, eventService(events, signatures, options.bodyChunkBytes)),
    createServiceImplSpec<typeof TraceService>(TraceService, traceService(traces)),
    createServiceImplSpec<typeof DeliveryService>(DeliveryService, deliveryService(deliveries)),
    createServiceImplSpec<typeof BulkJobService>(BulkJobService, bulkJobService(options.bulkJobs)),
    createServiceImplSpec<typeof ApiKeyService>(ApiKeyService, apiKeyService(apiKeys)),
    createServiceImplSpec<typeof SourceService>(SourceService, sourceService()),
    createServiceImplSpec<typeof ReceiveService>(ReceiveService, receiveService(options)),
  ];
  const introspection = introspectionServices(
    implementations.map(({ service }) => service),
    options,
  );
  // What anybody may send is no larger than it has to be.
  const bytesMax = new Map<DescService, number>([
    ...INTROSPECTION.map((service) => [service, options.limits.introspectionRequestBytesMax] as const),
    [ReceiveService, Math.ceil(options.payloadBytesMax * BASE64_GROWTH) + options.limits.introspectionRequestBytesMax],
  ]);
  return rpcServerOf(
    [...implementations, ...introspection],
    createRequestGate(apiKeys, options.limits),
    options.logger,
    bytesMax,
  );
}

/** Implementations behind what every call passes through. `bytesMax` bounds messages more than the edge does. */
export function rpcServerOf(
  services: readonly ServiceImplSpec[],
  requestGate: RpcServer["requestGate"],
  logger: Logger,
  bytesMax: ReadonlyMap<DescService, number> = new Map(),
): RpcServer {
  return {
    services,
    bytesMax,
    register: (router) => {
      for (const { service, methods } of services) {
        const readMaxBytes = bytesMax.get(service);
        const bounds = readMaxBytes === undefined ? undefined : { readMaxBytes };
        for (const { method, impl } of Object.values(methods)) {
          router.rpc(method, impl as MethodImpl<typeof method>, bounds);
        }
      }
    },
    interceptors: [createErrorInterceptor(logger), createValidationInterceptor(), createStoreInterceptor()],
    requestGate,
  };
}
