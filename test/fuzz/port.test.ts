/**
 * Mutated requests of every protocol, byte by byte and frame by frame, at the port of the real service: it lives, none
 * of them is a fault of its own, a well-behaved client is served throughout, and everything is released.
 */
import diagnostics from "node:diagnostics_channel";
import type { ServerResponse } from "node:http";
import type { ServerHttp2Stream } from "node:http2";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AbusedService, startAbusedService } from "../support/abuse/service.ts";
import { type Log, rememberErrors } from "../support/log.ts";
import type { PortFuzzArgs, PortFuzzReport } from "./port-attack.ts";
import { FUZZ_SEED, fuzzMs } from "./runs.ts";

const ATTACK = new URL("./port-attack.ts", import.meta.url);
const DURATION_MS = 5_000;
/** Sessions that broke off are noticed by a ping: soon, so that their end can be waited for. */
const LIMITS = { http2PingIntervalMs: 1_000, http2PingTimeoutMs: 1_000 };
/** What a server may say of a request that asks for what it does not do. */
const SPECIFIED = new Set([501, 505]);
/** UNKNOWN, INTERNAL, DATA_LOSS. */
const GRPC_FAULTS = new Set(["2", "13", "15"]);

let log: Log;
let abused: AbusedService;

beforeAll(async () => {
  log = rememberErrors();
  abused = await startAbusedService(LIMITS, { logger: log.logger });
});
afterAll(async () => {
  await abused?.end();
});

/** Counts of every status that the service, which runs in this process, has sent. */
function watchStatuses() {
  const statuses = new Map<string, number>();
  const note = (status: string) => statuses.set(status, (statuses.get(status) ?? 0) + 1);
  const onHttp1 = (message: unknown) => note(`HTTP ${(message as { response: ServerResponse }).response.statusCode}`);
  const onHttp2 = (message: unknown) => {
    const { sentHeaders, sentTrailers } = (message as { stream: ServerHttp2Stream }).stream;
    if (sentHeaders?.[":status"] !== undefined) note(`HTTP ${sentHeaders[":status"]}`);
    const grpc = sentTrailers?.["grpc-status"] ?? sentHeaders?.["grpc-status"];
    if (grpc !== undefined) note(`gRPC ${grpc}`);
  };
  diagnostics.subscribe("http.server.response.finish", onHttp1);
  diagnostics.subscribe("http2.server.stream.close", onHttp2);
  return {
    statuses,
    stop: () => {
      diagnostics.unsubscribe("http.server.response.finish", onHttp1);
      diagnostics.unsubscribe("http2.server.stream.close", onHttp2);
    },
  };
}

const isFault = (status: string): boolean => {
  const [protocol, code = ""] = status.split(" ");
  return protocol === "gRPC" ? GRPC_FAULTS.has(code) : Number(code) >= 500 && !SPECIFIED.has(Number(code));
};

test(
  "whatever comes to the port",
  async () => {
    const { service, harness } = abused;
    const { body: webhook } = await service.api.post("/webhooks", { name: "fuzzed" });
    const { secret, receiveUrl } = webhook;
    const target = { port: service.port, key: service.key, secret, receivePath: new URL(receiveUrl).pathname };
    const args: PortFuzzArgs = { ...target, seed: FUZZ_SEED, durationMs: fuzzMs(DURATION_MS) };
    const watch = watchStatuses();
    const { report } = await harness.run<PortFuzzReport>("mutated requests", {
      module: ATTACK,
      name: "fuzzPort",
      args,
    });
    watch.stop();
    const kinds = [...watch.statuses.keys()];
    expect(kinds.filter(isFault)).toEqual([]);
    expect(log.errors).toEqual([]);
    // It was no fuzz if nothing got through, or everything did.
    expect(kinds).toEqual(expect.arrayContaining(["HTTP 200", "HTTP 400", "HTTP 401", "HTTP 404", "gRPC 0", "gRPC 3"]));
    expect(report.answered).toBeGreaterThan(report.connections / 10);
  },
  fuzzMs(DURATION_MS) + 60_000,
);
