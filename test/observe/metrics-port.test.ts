/** The metrics' own port: what it serves, to whom, and that nothing else reaches it. */
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ConfigError } from "../../src/config.ts";
import { scrape } from "../support/exposition.ts";
import { startService, type TestService } from "../support/service.ts";

let service: TestService;
let metricsUrl: string;

beforeAll(async () => {
  service = await startService({ env: { METRICS_PORT: "0" } });
  metricsUrl = service.app.metricsUrl ?? "";
});
afterAll(async () => {
  await service?.stop();
});

test("is on loopback unless told otherwise", () => {
  expect(metricsUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/metrics$/);
});

test("is not there unless asked for", async () => {
  const without = await startService();
  expect(without.app.metricsUrl).toBeUndefined();
  await without.stop();
});

test("the main port does not show them", async () => {
  for (const path of ["/metrics", "/api/v1/metrics"]) {
    const answer = await fetch(`${service.url}${path}`, { headers: { authorization: `Bearer ${service.key}` } });
    expect(answer.status, path).toBe(404);
  }
});

test.each([
  ["GET", "/", 404],
  ["GET", "/metrics/x", 404],
  ["GET", "//metrics", 404],
  ["POST", "/metrics", 405],
  ["DELETE", "/metrics", 405],
  ["HEAD", "/metrics", 200],
  ["GET", "/metrics?name[]=up", 200],
])("%s %s answers %i", async (method, path, status) => {
  const answer = await fetch(new URL(metricsUrl).origin + path, { method });
  expect(answer.status).toBe(status);
  if (status === 405) expect(answer.headers.get("allow")).toBe("GET, HEAD");
});

test("what is no HTTP ends its own connection only", async () => {
  const socket = connect(Number(new URL(metricsUrl).port), "127.0.0.1");
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.on("error", () => {});
  socket.resume();
  socket.write("\u0016\u0003\u0001 hello\r\n\r\n");
  await closed;
  await scrape(metricsUrl);
});

test("shows the process, its pools and its loop by names that dashboards know", async () => {
  const now = await scrape(metricsUrl);
  for (const name of [
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "nodejs_eventloop_lag_p99_seconds",
    "nodejs_heap_size_used_bytes",
    "alumia_info",
    "alumia_port_open",
    "alumia_body_bytes",
    "alumia_delivery_under_way",
    "alumia_outbound_connections",
  ]) {
    expect(now.has(name), name).toBe(true);
  }
  expect(now.value("alumia_event_loop_seconds_total", { state: "busy" })).toBeGreaterThan(0);
  expect(now.value("alumia_delivery_under_way_max", { kind: "attempts" })).toBe(128);
  expect(now.labelValues("alumia_pool_connections_max", "pool")).toEqual(
    expect.arrayContaining(["hot", "key-lookup", "upkeep", "webhook-lookup"]),
  );
  expect(now.value("alumia_ready", { part: "delivery" })).toBe(1);
  for (const [name, { help, type }] of now.families) {
    expect(help, name).not.toBe("");
    if (name.startsWith("alumia_")) expect(name.endsWith("_total"), name).toBe(type === "counter");
  }
});

test("no delivery may go there, although loopback is open to deliveries", async () => {
  const answer = await service.api.post("/webhooks", { name: "forwards", url: metricsUrl });
  expect(answer).toMatchObject({ status: 400, body: { error: { details: [{ rule: "url.private_address" }] } } });
});

test("more connections than may be are ended", async () => {
  const few = await startService({ env: { METRICS_PORT: "0" }, limits: { metricsConnectionsMax: 2 } });
  const port = Number(new URL(few.app.metricsUrl ?? "").port);
  const sockets = [0, 1, 2].map(() => connect(port, "127.0.0.1").on("error", () => {}));
  await Promise.race(sockets.map((socket) => new Promise((resolve) => socket.resume().once("close", resolve))));
  expect(sockets.filter((socket) => socket.closed)).toHaveLength(1);
  for (const socket of sockets) socket.destroy();
  await few.stop();
});

test("a port that is taken stops the start, and names its variable", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const { port } = taken.address() as AddressInfo;
  const start = startService({ env: { METRICS_PORT: String(port) } });
  await expect(start).rejects.toThrow(ConfigError);
  await expect(start).rejects.toThrow(new RegExp(`^METRICS_PORT ${port} on 127.0.0.1 is in use`));
  await new Promise((resolve) => taken.close(resolve));
});
