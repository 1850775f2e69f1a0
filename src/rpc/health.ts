/** grpc.health.v1: every service is fit to serve when the whole is ready, and none is once the service begins to stop. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import { AppError } from "../errors.ts";
import { incomingKey } from "./context.ts";
import { type EndlessStreams, orAborted } from "./endless-streams.ts";

export interface HealthOptions {
  /** Full names of the services; "" stands for all of them together. */
  readonly services: readonly string[];
  /** Each part that must work for the service to be ready, and whether it does. Cheap to ask; does not reject. */
  readonly readiness: () => Promise<Readonly<Record<string, boolean>>>;
  readonly streams: EndlessStreams;
  /** How often the status is looked at while somebody watches, milliseconds. */
  readonly intervalMs: number;
}

export function healthService({ services, readiness, streams, intervalMs }: HealthOptions): ServiceImpl<typeof Health> {
  const known = new Set(["", ...services]);
  /** The next look, shared by all who watch. Nobody looks while nobody does. */
  let nextLook: Promise<Status> | undefined;

  async function look(): Promise<Status> {
    const checks = await readiness();
    return Object.values(checks).every(Boolean) ? Status.SERVING : Status.NOT_SERVING;
  }

  function lookLater(): Promise<Status> {
    nextLook ??= sleep(intervalMs, undefined, { ref: false }).then(() => {
      nextLook = undefined;
      return look();
    });
    return nextLook;
  }

  async function now({ values }: HandlerContext): Promise<Status> {
    return values.get(incomingKey).stopping.aborted ? Status.NOT_SERVING : await look();
  }

  /** What holds now and then every change, until the signal aborts. A stop is told before the end. */
  async function* changes(signal: AbortSignal, stopping: AbortSignal) {
    let told: Status | undefined;
    for (let status = await orAborted(look(), signal); status !== undefined; ) {
      if (status !== told) yield { status };
      told = status;
      status = await orAborted(lookLater(), signal);
    }
    if (stopping.aborted && told !== Status.NOT_SERVING) yield { status: Status.NOT_SERVING };
  }

  async function* unknown(signal: AbortSignal) {
    yield { status: Status.SERVICE_UNKNOWN };
    if (!signal.aborted) await once(signal, "abort");
  }

  return {
    async check({ service }, context) {
      if (!known.has(service)) throw new AppError("NOT_FOUND", "no such service");
      return { status: await now(context) };
    },
    async list(_request, context) {
      const status = await now(context);
      return { statuses: Object.fromEntries([...known].map((service) => [service, { status }])) };
    },
    watch({ service }, context) {
      const stopping = context.values.get(incomingKey).stopping;
      return streams.run(context, (signal) => (known.has(service) ? changes(signal, stopping) : unknown(signal)));
    },
  };
}
