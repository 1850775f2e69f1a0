/** grpc.health.v1 over every RPC protocol, without a key. */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Limits } from "../../src/config.ts";
import { eventually } from "../support/eventually.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { startService, type TestService } from "../support/service.ts";
import { TRANSPORTS } from "./connect-clients.ts";

const SERVICES = [
  "",
  "alumia.webhooks.v1.ApiKeyService",
  "alumia.webhooks.v1.BulkJobService",
  "alumia.webhooks.v1.DeliveryService",
  "alumia.webhooks.v1.EventService",
  "alumia.webhooks.v1.ReceiveService",
  "alumia.webhooks.v1.SecretCaptureService",
  "alumia.webhooks.v1.SourceService",
  "alumia.webhooks.v1.TraceService",
  "alumia.webhooks.v1.WebhookService",
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
];

const PROTOCOLS = {
  gRPC: (url: string) => createClient(Health, createGrpcTransport({ baseUrl: url })),
  ...Object.fromEntries(
    Object.entries(TRANSPORTS).map(([name, make]) => [
      name,
      (url: string) => createClient(Health, make({ url, key: undefined })),
    ]),
  ),
};

/** A service of the test's own behind a proxy; it waits long for what is under way when it stops. */
async function start(limits: Partial<Limits> = {}): Promise<{ service: TestService; proxy: PostgresProxy }> {
  const database = await createTestDatabase();
  const proxy = await startPostgresProxy(database.url);
  const env = { SHUTDOWN_GRACE_MS: "600000" };
  const replicaOf = { databaseUrl: proxy.url } as TestService;
  const service = await startService({ replicaOf, env, limits: { healthWatchIntervalMs: 20, ...limits } });
  onTestFinished(async () => {
    await service.stop();
    await proxy.close();
    await database.drop();
  });
  return { service, proxy };
}

/** The stream's next status; undefined at its end. */
type Watch = AsyncIterator<{ status: Status }>;
const nextOf = async (watch: Watch): Promise<Status | undefined> => {
  const { done, value } = await watch.next();
  return done ? undefined : value.status;
};

describe.each(Object.entries(PROTOCOLS))("%s", (_name, connect) => {
  let service: TestService;
  let client: ReturnType<typeof connect>;

  beforeAll(async () => {
    service = await startService();
    client = connect(service.url);
  });
  afterAll(async () => {
    await service?.stop();
  });

  test.each(SERVICES)("%j serves", async (name) => {
    expect((await client.check({ service: name })).status).toBe(Status.SERVING);
  });

  test("a service that there is not", async () => {
    const refused = await client.check({ service: "alumia.webhooks.v1.Nothing" }).catch(ConnectError.from);
    expect(refused).toMatchObject({ code: Code.NotFound, rawMessage: "no such service" });
  });

  test("the list names every service", async () => {
    const { statuses } = await client.list({});
    expect(statuses).toEqual(
      Object.fromEntries(SERVICES.map((name) => [name, expect.objectContaining({ status: Status.SERVING })])),
    );
  });

  test("who watches a service that there is not is told so, and goes on watching", async () => {
    const end = new AbortController();
    const watch = client.watch({ service: "nothing" }, { signal: end.signal })[Symbol.asyncIterator]();
    expect(await nextOf(watch)).toBe(Status.SERVICE_UNKNOWN);
    const next = watch.next().catch(ConnectError.from);
    expect(await Promise.race([next, client.check({})])).toMatchObject({ status: Status.SERVING });
    end.abort();
    expect(await next).toMatchObject({ code: Code.Canceled });
  });
});

test("who watches is told of every change: an outage of the store, its end, and a stop, which ends the stream", async () => {
  const { service, proxy } = await start();
  const watches = Object.values(PROTOCOLS).flatMap((connect) =>
    ["", "alumia.webhooks.v1.EventService"].map((name) =>
      connect(service.url).watch({ service: name })[Symbol.asyncIterator](),
    ),
  );
  const all = async () => [...new Set(await Promise.all(watches.map(nextOf)))];
  expect(await all()).toEqual([Status.SERVING]);
  proxy.cut();
  expect(await all()).toEqual([Status.NOT_SERVING]);
  proxy.restore();
  expect(await all()).toEqual([Status.SERVING]);
  const last = all();
  const end = last.then(all);
  // It waits for nobody, although its grace is long.
  await service.app.stop();
  expect(await last).toEqual([Status.NOT_SERVING]);
  expect(await end).toEqual([undefined]);
});

test("a client may have a bounded number of watches, and another when one has ended", async () => {
  const { service } = await start({ endlessStreamsPerClientMax: 2 });
  const client = createClient(Health, createGrpcTransport({ baseUrl: service.url }));
  const ends = [new AbortController(), new AbortController(), new AbortController()];
  const [first, second, third] = ends.map(
    ({ signal }) =>
      () =>
        nextOf(client.watch({}, { signal })[Symbol.asyncIterator]()).catch(ConnectError.from),
  );
  expect([await first?.(), await second?.()]).toEqual([Status.SERVING, Status.SERVING]);
  expect(await third?.()).toMatchObject({ code: Code.ResourceExhausted });
  expect((await client.check({})).status).toBe(Status.SERVING);
  ends[0]?.abort();
  await eventually("a watch is let in", async () => (await third?.()) === Status.SERVING);
  for (const end of ends) end.abort();
});

test("a deadline ends a watch", async () => {
  const { service } = await start();
  const client = createClient(Health, createGrpcTransport({ baseUrl: service.url }));
  const watch = client.watch({}, { timeoutMs: 300 })[Symbol.asyncIterator]();
  expect(await nextOf(watch)).toBe(Status.SERVING);
  expect(await nextOf(watch).catch(ConnectError.from)).toMatchObject({ code: Code.DeadlineExceeded });
});

test("a watch ends when it has lasted as long as it may, and its client opens another", async () => {
  const { service } = await start({ endlessStreamMsMax: 100, endlessStreamsPerClientMax: 1 });
  const client = createClient(Health, createGrpcTransport({ baseUrl: service.url }));
  for (let round = 0; round < 2; round++) {
    const watch = client.watch({})[Symbol.asyncIterator]();
    expect([await nextOf(watch), await nextOf(watch)]).toEqual([Status.SERVING, undefined]);
  }
});
