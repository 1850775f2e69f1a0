/** What the server tells anybody about itself: health, and reflection of its schema. */
import type { DescService } from "@bufbuild/protobuf";
import { createServiceImplSpec, type ServiceImpl, type ServiceImplSpec } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { type EndlessStreamLimits, EndlessStreams } from "./endless-streams.ts";
import { healthService } from "./health.ts";
import { reflectionService } from "./reflection.ts";
import { SchemaIndex } from "./schema-index.ts";

export const REFLECTION: readonly DescService[] = [ServerReflection, ServerReflectionV1alpha];
export const INTROSPECTION: readonly DescService[] = [Health, ...REFLECTION];

export interface IntrospectionOptions {
  /** Each part that must work for the service to be ready, and whether it does. Cheap to ask; does not reject. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly limits: IntrospectionLimits;
}

export interface IntrospectionLimits extends EndlessStreamLimits {
  /** How often the status is looked at while somebody watches it, milliseconds. */
  readonly healthWatchIntervalMs: number;
  /** Questions that one reflection stream may ask. */
  readonly reflectionRequestsMax: number;
}

/** Health of `services` and of these services themselves, and the schema of all of them. */
export function introspectionServices(
  services: readonly DescService[],
  { readiness, limits }: IntrospectionOptions,
): ServiceImplSpec[] {
  const all = [...services, ...INTROSPECTION];
  const streams = new EndlessStreams(limits);
  const health = healthService({
    services: all.map((service) => service.typeName),
    readiness,
    streams,
    intervalMs: limits.healthWatchIntervalMs,
  });
  const reflection = reflectionService({
    schema: new SchemaIndex(all, [file_google_rpc_error_details]),
    streams,
    requestsMax: limits.reflectionRequestsMax,
  });
  return [
    createServiceImplSpec<typeof Health>(Health, health),
    createServiceImplSpec<typeof ServerReflection>(ServerReflection, reflection),
    // The same fields with the same meaning; only the messages' full names differ, and none is written there.
    createServiceImplSpec<typeof ServerReflectionV1alpha>(
      ServerReflectionV1alpha,
      reflection as unknown as ServiceImpl<typeof ServerReflectionV1alpha>,
    ),
  ];
}
