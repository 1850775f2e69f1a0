/** Destinations that hang, dribble, redirect, break off or turn out to be private. */
import type { LookupAddress } from "node:dns";
import { createServer } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config.ts";
import { createLogger } from "../../src/observe/logger.ts";
import { createApi, hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { startService, TEST_MASTER_KEY, type TestService } from "../support/service.ts";
import { createForwardingWebhook, outline } from "./forwarding.ts";

const TIMEOUT_MS = 400;
let service: TestService;
let destination: Destination;

beforeAll(async () => {
  const env = { DELIVERY_SCHEDULE: "0s,1h", DELIVERY_TIMEOUT_MS: String(TIMEOUT_MS) };
  [service, destination] = await Promise.all([startService({ env }), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

test("a destination that never answers ends by the deadline", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  destination.behave(() => {});
  const delivery = await webhook.settled(await webhook.sendEvent(), "pending", 1);
  expect(outline(delivery)).toEqual(["1 scheduled timeout"]);
  expect(delivery.response).toMatchObject({ statusCode: null, body: null, errorCode: "timeout" });
  expect(delivery.response.durationMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 5);
});

test("one deadline holds for headers and body together: a body that dribbles does not prolong it", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  const ended = Promise.withResolvers<void>();
  destination.behave((_arrival, response) => {
    response.writeHead(200);
    const dribble = setInterval(() => response.write("."), 20);
    response.on("close", () => {
      clearInterval(dribble);
      ended.resolve();
    });
  });
  const delivery = await webhook.settled(await webhook.sendEvent(), "pending", 1);
  expect(outline(delivery)).toEqual(["1 scheduled timeout"]);
  expect(delivery.response).toMatchObject({ statusCode: 200, errorCode: "timeout" });
  expect(delivery.attempts[0]).toMatchObject({ status: "failed", responseTruncated: true });
  await ended.promise;
});

test.each([301, 302, 307, 308])("a redirect is not followed: %i", async (status) => {
  const elsewhere = await startDestination();
  const webhook = await createForwardingWebhook(service, destination.url);
  destination.behave(answer(status, { location: elsewhere.url }));
  const delivery = await webhook.settled(await webhook.sendEvent(), "pending", 1);
  expect(delivery.response).toMatchObject({ statusCode: status, errorCode: "http_status" });
  expect(delivery.response.headers.location).toBe(elsewhere.url);
  expect(elsewhere.arrivals).toEqual([]);
  await elsewhere.close();
});

test("a destination that breaks off, and one that is not there", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  destination.behave((_arrival, response) => response.destroy());
  const broken = await webhook.settled(await webhook.sendEvent('{"n":1}'), "pending", 1);
  expect(broken.response).toMatchObject({ statusCode: null, errorCode: "reset" });

  const gone = await startDestination();
  await gone.close();
  await webhook.patch({ url: gone.url });
  const refused = await webhook.settled(await webhook.sendEvent('{"n":2}'), "pending", 1);
  expect(refused.response).toMatchObject({ statusCode: null, errorCode: "connect" });
});

test("a long answer is kept up to the cap and is a success", async () => {
  const webhook = await createForwardingWebhook(service, destination.url);
  destination.behave(answer(200, {}, "x".repeat(100_000)));
  const delivery = await webhook.settled(await webhook.sendEvent(), "succeeded", 1);
  expect(delivery.attempts[0].responseBody).toBe("x".repeat(16 * 1024));
  expect(delivery.attempts[0].responseTruncated).toBe(true);
});

/** A listener that only counts who connects. */
async function startCounter(address: string, port: number) {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, address, resolve);
  });
  return {
    connections: () => connections,
    close: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

// Only Linux has all of 127.0.0.0/8 without further setting up.
test.runIf(process.platform === "linux")(
  "a name that resolves to a private address on the second look-up is not connected to",
  async () => {
    const database = await createTestDatabase();
    const target = await startDestination();
    const inner = await startCounter("127.0.0.2", target.port);
    const lookups: string[] = [];
    const resolver = (
      hostname: string,
      _options: object,
      callback: (error: Error | null, addresses: readonly LookupAddress[]) => void,
    ) => {
      lookups.push(hostname);
      process.nextTick(callback, null, [{ address: lookups.length === 1 ? "127.0.0.1" : "127.0.0.2", family: 4 }]);
    };
    const key = `alm_test_${"0".repeat(32)}`;
    const config = loadConfig({
      PORT: "0",
      DATABASE_URL: database.url,
      MASTER_KEY: TEST_MASTER_KEY,
      BOOTSTRAP_API_KEY: key,
      DELIVERY_SCHEDULE: "0s,20ms,1h",
      // One address is opened; the rest of loopback stays as private as it is in production.
      ALLOWED_PRIVATE_CIDRS: "127.0.0.1/32",
      LOG_LEVEL: "silent",
    });
    const app = await startApp(config, createLogger("silent"), { resolver });
    try {
      const api = createApi(app.url, key);
      target.behave(answer(500, { connection: "close" }));
      const url = `http://hooks.rebinding.dev:${target.port}/hook`;
      const { body: webhook } = await api.post("/webhooks", { name: "rebinds", url });
      await send(webhook.receiveUrl, "{}", hubSignature(webhook.secret, "{}"));
      const delivery = await eventually("two attempts", async () => {
        const list = await api.get(`/webhooks/${webhook.id}/deliveries`);
        if (list.body.items[0]?.attemptCount !== 2) return undefined;
        return (await api.get(`/webhooks/deliveries/${list.body.items[0].id}`)).body;
      });
      expect(outline(delivery)).toEqual(["1 scheduled http_status", "2 scheduled blocked_address"]);
      expect(delivery.attempts[1]).toMatchObject({ statusCode: null, remoteAddress: null });
      expect(lookups).toEqual(["hooks.rebinding.dev", "hooks.rebinding.dev"]);
      expect(target.arrivals).toHaveLength(1);
      expect(inner.connections()).toBe(0);
    } finally {
      await app.stop();
      await Promise.all([database.drop(), target.close(), inner.close()]);
    }
  },
);
