/** The log of a real process: a line for each event and each attempt, and no secret in any. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { API_KEY, killLeftovers, type ServiceProcess, startServiceProcess } from "../faults/service-process.ts";
import { hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const BODY = '{"type":"order.paid","card":"T0K3N-in-the-body"}';
const uuid = expect.stringMatching(UUID);
const ms = expect.any(Number);

let database: TestDatabase;
let destination: Destination;
let service: ServiceProcess;
// biome-ignore lint/suspicious/noExplicitAny: judged by what it holds
let webhook: any;

beforeAll(async () => {
  [database, destination] = await Promise.all([createTestDatabase(), startDestination()]);
  service = await startServiceProcess({
    DATABASE_URL: database.url,
    MASTER_KEY: TEST_MASTER_KEY,
    ALLOWED_PRIVATE_CIDRS: "127.0.0.0/8",
    DELIVERY_SCHEDULE: "0s,10ms",
    LOG_LEVEL: "info",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20T0K3N-of-the-collector",
  });
  const url = `${destination.url}/T0K3N-in-the-path?key=T0K3N-in-the-query`;
  webhook = (await service.api.post("/webhooks", { name: "logs", url })).body;
});
afterAll(async () => {
  await killLeftovers();
  await destination?.close();
  await database?.drop();
});

type Line = Readonly<Record<string, unknown>>;

const lines = (): Line[] =>
  service
    .log()
    .split("\n")
    .filter((line) => line.startsWith("{") && line.endsWith("}"))
    .map((line) => JSON.parse(line));

/** The lines about an event, once there are so many. */
const linesOf = (eventId: string, count: number) =>
  eventually(`${count} lines about ${eventId}`, async () => {
    const found = lines().filter((line) => line.event === eventId);
    return found.length >= count && found;
  });

const signed = () => ({
  ...hubSignature(webhook.secret, BODY),
  authorization: "Bearer T0K3N-of-the-sender",
  cookie: "session=T0K3N-cookie",
  "x-api-key": "T0K3N-key",
});

test("one line for the event, one for each attempt, with everything there is to say", async () => {
  destination.behave((_arrival, response, count) =>
    response.writeHead(count === 1 ? 500 : 204, { connection: "close" }).end(),
  );
  const { eventId } = (await send(webhook.receiveUrl, BODY, signed())).body;
  const ids = { organization: uuid, webhook: webhook.id, delivery: uuid, event: eventId };
  const common = { level: "info", time: expect.stringMatching(/^\d{4}-.*Z$/), ...ids };
  const attempt = {
    ...common,
    msg: "attempt made",
    trigger: "scheduled",
    destination: new URL(destination.url).origin,
    remoteAddress: "127.0.0.1",
    queueMs: ms,
    attemptMs: ms,
    connectMs: ms,
    firstByteMs: ms,
    completionMs: ms,
  };
  expect(await linesOf(eventId, 3)).toEqual([
    {
      ...common,
      msg: "event received",
      outcome: "recorded",
      source: "custom",
      type: "order.paid",
      scheme: "hub-signature-256",
      verified: true,
      synthetic: false,
      bytes: BODY.length,
      readMs: ms,
      verifyMs: ms,
      commitMs: ms,
    },
    { ...attempt, attempt: 1, outcome: "retry", statusCode: 500, errorCode: "http_status", nextMs: ms },
    { ...attempt, attempt: 2, outcome: "succeeded", statusCode: 204, errorCode: null },
  ]);
});

test("strangers write no lines", async () => {
  const before = lines().length;
  for (let n = 0; n < 20; n++) {
    await send(webhook.receiveUrl, BODY, { "x-hub-signature-256": `sha256=${"0".repeat(64)}` });
    await send(`${webhook.receiveUrl}x`, BODY, {});
  }
  destination.behave(answer(200));
  const { eventId } = (await send(webhook.receiveUrl, BODY, signed())).body;
  await linesOf(eventId, 2);
  expect(lines().length - before).toBe(2);
});

test("no secret, signature, credential or body stands in any line, whatever went wrong", async () => {
  // The last attempt fails; the collector cannot be reached; the forward secret is gone.
  destination.behave((_arrival, response) => response.destroy());
  const { eventId } = (await send(webhook.receiveUrl, BODY, signed())).body;
  await linesOf(eventId, 3);
  const other = (await service.api.post("/webhooks", { name: "broken", url: destination.url })).body;
  await service.api.post(`/webhooks/${other.id}/rotate`, { target: "forward" });
  await eventually("the collector is missed", async () =>
    lines().some(({ msg }) => msg === "spans cannot be exported"),
  );
  service.signal("SIGTERM");
  const exit = await service.exited;
  expect(exit.code).toBe(0);

  const log = `${exit.stderr}${exit.stdout.replace(/^.*authorization: Bearer .*$/m, "")}`;
  expect(log).toContain(eventId);
  const signatures = destination.arrivals.map(({ headers }) => String(headers["webhook-signature"]).slice(3));
  expect(signatures.every((signature) => signature.length > 40)).toBe(true);
  const inbound = Object.values(hubSignature(webhook.secret, BODY))[0]?.slice(7);
  for (const secret of [
    "T0K3N",
    webhook.secret,
    webhook.forwardSecret,
    API_KEY,
    TEST_MASTER_KEY,
    inbound,
    ...signatures,
  ]) {
    expect(log).not.toContain(secret);
  }
});
