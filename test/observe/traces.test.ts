/** An event's trace, as a collector sees it: from its receive to its last attempt, whoever makes it and whenever. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { attemptSpanIdOf, receiveSpanIdOf, traceIdOf } from "../../src/observe/trace-ids.ts";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { createWebhook, githubHeaders } from "../receive/senders.ts";
import { hubSignature, send } from "../support/api.ts";
import { type CollectedSpan, type Collector, startCollector } from "../support/collector.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { scrape } from "../support/exposition.ts";
import { startService, type TestService } from "../support/service.ts";

const SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const LIMITS = { spanBatchIntervalMs: 20 };

let collector: Collector;
let service: TestService;
let destination: Destination;

const traced = (env: Readonly<Record<string, string>> = {}) => ({
  env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env },
  limits: LIMITS,
});

beforeAll(async () => {
  collector = await startCollector();
  service = await startService(traced());
});
beforeEach(async () => {
  destination = await startDestination();
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
  await collector?.close();
});

const named = (spans: readonly CollectedSpan[], name: string) =>
  spans.filter((span) => span.name === name).toSorted((one, other) => one.startMs - other.startMs);

/** The trace and span that an arrival names as its cause. */
function causeOf(at: number): { traceId: string; spanId: string; flags: string } {
  const value = String(destination.arrivals[at]?.headers.traceparent);
  const [, traceId = "", spanId = "", flags = ""] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(value) ?? [];
  return { traceId, spanId, flags };
}

test("the receive is the root, every attempt its branch, and the destination is told of its attempt", async () => {
  destination.behave((_arrival, response, count) => response.writeHead(count === 1 ? 503 : 200).end());
  const webhook = await createForwardingWebhook(service, destination.url);
  const startMs = Date.now();
  const eventId = await webhook.sendEvent('{"type":"order.paid"}', { traceparent: SENDER, tracestate: "a=b" });
  const { id: deliveryId } = await webhook.settled(eventId, "succeeded", 2);

  const spans = await collector.trace(traceIdOf(eventId), 3);
  expect(spans).toHaveLength(3);
  const [receive] = named(spans, "receive");
  expect(receive).toMatchObject({
    spanId: receiveSpanIdOf(eventId),
    parentSpanId: undefined,
    kind: 2,
    statusCode: 0,
    links: [{ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }],
    resource: { "service.name": "alumia-webhooks", "service.version": expect.any(String) },
    attributes: {
      "alumia.event.id": eventId,
      "alumia.webhook.id": webhook.id,
      "alumia.delivery.id": deliveryId,
      "alumia.event.type": "order.paid",
      "alumia.outcome": "recorded",
      "alumia.bytes": 21,
      "alumia.commit_ms": expect.any(Number),
    },
  });
  const attempts = named(spans, "attempt");
  expect(attempts).toMatchObject([
    {
      spanId: attemptSpanIdOf(deliveryId, 1),
      parentSpanId: receive?.spanId,
      kind: 3,
      statusCode: 2,
      attributes: {
        "alumia.attempt.number": 1,
        "alumia.outcome": "retry",
        "http.response.status_code": 503,
        "error.type": "http_status",
        "alumia.destination": new URL(destination.url).origin,
        "alumia.first_byte_ms": expect.any(Number),
      },
    },
    { spanId: attemptSpanIdOf(deliveryId, 2), parentSpanId: receive?.spanId, kind: 3, statusCode: 0 },
  ]);
  // In order, and while the test ran.
  for (const { startMs: from, endMs: to } of spans)
    expect([from <= to, from >= startMs - 50, to <= Date.now()]).toEqual([true, true, true]);
  expect(attempts[0]?.startMs).toBeLessThanOrEqual(attempts[1]?.startMs ?? 0);

  for (const [at, attempt] of attempts.entries()) {
    expect(causeOf(at)).toEqual({ traceId: traceIdOf(eventId), spanId: attempt.spanId, flags: "01" });
  }
  expect(destination.arrivals[0]?.headers).toMatchObject({
    "original-traceparent": SENDER,
    "original-tracestate": "a=b",
  });
  expect(destination.arrivals[0]?.headers.tracestate).toBeUndefined();
  // The history shows what was sent.
  const shown = await webhook.deliveryOf(eventId);
  expect(shown.attempts[1].requestHeaders.traceparent).toBe(destination.arrivals[1]?.headers.traceparent);
});

test("hours later, after a restart and by hand, attempts belong to the same trace", async () => {
  destination.behave(answer(500));
  const first = await startService(traced());
  const webhook = await createForwardingWebhook(first, destination.url);
  const eventId = await webhook.sendEvent();
  const { id } = await webhook.settled(eventId, "pending", 2);
  await collector.trace(traceIdOf(eventId), 3);
  await first.app.stop();

  destination.behave(answer(200));
  const second = await startService({ ...traced(), replicaOf: first });
  await second.advanceQueue(2 * 3_600_000);
  await collector.trace(traceIdOf(eventId), 4);
  const retried = await second.api.post(`/webhooks/deliveries/${id}/retry`);
  expect(retried.status).toBe(200);
  const spans = await collector.trace(traceIdOf(eventId), 5);

  const attempts = named(spans, "attempt");
  expect(
    attempts.map(({ attributes: { "alumia.attempt.number": number, "alumia.attempt.trigger": trigger } }) => [
      number,
      trigger,
    ]),
  ).toEqual([
    [1, "scheduled"],
    [2, "scheduled"],
    [3, "scheduled"],
    [4, "manual"],
  ]);
  expect(new Set(attempts.map((span) => span.parentSpanId))).toEqual(new Set([receiveSpanIdOf(eventId)]));
  expect(attempts.map((_span, at) => causeOf(at).spanId)).toEqual(attempts.map((span) => span.spanId));
  // Two processes made them.
  expect(new Set(spans.map(({ resource }) => resource["service.instance.id"])).size).toBe(2);
  await second.stop();
  await first.stop();
});

test("an attempt over which its worker died is in the trace, by the id that its destination was told", async () => {
  destination.behave(() => {});
  const first = await startService({ ...traced({ DELIVERY_LEASE_MS: "1000" }) });
  const webhook = await createForwardingWebhook(first, destination.url);
  const eventId = await webhook.sendEvent();
  await destination.arrived(1);
  // As if it had died: nothing of it is heard again, and its lease ends.
  await first.pool.query("update delivery_queue set lease_token = gen_random_uuid(), due_at = now()");
  destination.behave(answer(200));
  const second = await startService({ ...traced(), replicaOf: first });
  const spans = await collector.trace(traceIdOf(eventId), 3);
  const [lost, made] = named(spans, "attempt");
  expect(lost).toMatchObject({
    spanId: causeOf(0).spanId,
    parentSpanId: receiveSpanIdOf(eventId),
    attributes: { "alumia.attempt.number": 1, "alumia.outcome": "retry", "error.type": "interrupted" },
  });
  expect(made).toMatchObject({ attributes: { "alumia.attempt.number": 2, "alumia.outcome": "succeeded" } });
  await second.stop();
  await first.stop();
});

test("a repeat stands below the receive that it repeats, a replay beside the first delivery", async () => {
  const webhook = await createWebhook(service.api, { source: "github", url: destination.url });
  const body = '{"action":"opened"}';
  const headers = await githubHeaders(webhook.secret, body);
  const { eventId } = (await send(webhook.receiveUrl, body, headers)).body;
  expect((await send(webhook.receiveUrl, body, headers)).body).toMatchObject({ eventId, duplicate: true });
  await destination.arrived(1);
  expect((await service.api.post(`/webhooks/events/${eventId}/replay`)).status).toBe(200);
  const spans = await collector.trace(traceIdOf(eventId), 4);
  const [receive, repeat] = named(spans, "receive");
  expect(receive).toMatchObject({ spanId: receiveSpanIdOf(eventId), parentSpanId: undefined });
  expect(repeat).toMatchObject({ parentSpanId: receive?.spanId, attributes: { "alumia.outcome": "duplicate" } });
  const attempts = named(spans, "attempt");
  expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual([receive?.spanId, receive?.spanId]);
  expect(new Set(spans.map(({ spanId }) => spanId)).size).toBe(4);
});

test("what is secret is in no span", async () => {
  const webhook = await createForwardingWebhook(service, `${destination.url}/T0K3N-in-the-path?key=T0K3N-in-the-query`);
  const headers = { authorization: "Bearer T0K3N-of-the-sender", cookie: "T0K3N-cookie", "x-api-key": "T0K3N-key" };
  const eventId = await webhook.sendEvent('{"type":"order.paid","card":"T0K3N-body"}', headers);
  await collector.trace(traceIdOf(eventId), 2);
  const [arrival] = await destination.arrived(1);
  expect(collector.text).toContain(webhook.id);
  for (const secret of [
    "T0K3N",
    webhook.secret,
    webhook.forwardSecret,
    String(arrival?.headers["webhook-signature"]),
  ]) {
    expect(collector.text).not.toContain(secret);
  }
});

describe("sampling", () => {
  test("a share of 0 exports nothing, and tells destinations so", async () => {
    const none = await startService(traced({ OTEL_TRACES_SAMPLER_ARG: "0" }));
    const webhook = await createForwardingWebhook(none, destination.url);
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "succeeded", 1);
    await none.stop();
    expect(collector.spans.filter((span) => span.traceId === traceIdOf(eventId))).toEqual([]);
    expect(causeOf(0)).toMatchObject({ traceId: traceIdOf(eventId), flags: "00" });
  });
});

describe("off", () => {
  test("the sender's own trace headers travel as they came", async () => {
    const plain = await startService();
    const webhook = await createForwardingWebhook(plain, destination.url);
    await webhook.sendEvent('{"type":"order.paid"}', { traceparent: SENDER, tracestate: "a=b" });
    const [arrival] = await destination.arrived(1);
    expect(arrival?.headers).toMatchObject({ traceparent: SENDER, tracestate: "a=b" });
    const other = await webhook.sendEvent();
    await webhook.settled(other, "succeeded", 1);
    expect(destination.arrivals[1]?.headers.traceparent).toBeUndefined();
    await plain.stop();
  });
});

describe("a collector that is in trouble", () => {
  test("costs spans and nothing else, and the figures say so", async () => {
    const bad = await startCollector();
    const env = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${bad.url}/v1/traces`, METRICS_PORT: "0" };
    const one = await startService({ env, limits: { ...LIMITS, spanBatchMax: 1, spansWaitingMax: 2 } });
    const outcome = async (name: string) =>
      (await scrape(one.app.metricsUrl)).value("alumia_spans_total", { outcome: name });
    const webhook = await createForwardingWebhook(one, null);
    bad.answer(400);
    await webhook.sendEvent();
    await eventually("one has failed", async () => (await outcome("failed")) === 1);
    bad.answer(200);
    await webhook.sendEvent();
    await eventually("one is exported", async () => (await outcome("exported")) === 1);
    // No answer at all: two wait, the others find no room.
    bad.answer(503);
    for (let n = 0; n < 5; n++) await webhook.sendEvent();
    expect(await outcome("dropped")).toBe(3);
    bad.answer(200);
    await one.stop();
    await bad.close();
  });

  test("does not hold up a stop beyond its grace", async () => {
    const bad = await startCollector();
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: bad.url, SHUTDOWN_GRACE_MS: "300" };
    const one = await startService({ env, limits: { spanBatchIntervalMs: 60_000 } });
    const webhook = await createForwardingWebhook(one, null);
    bad.answer(503);
    await webhook.sendEvent();
    const startMs = performance.now();
    await one.stop();
    expect(performance.now() - startMs).toBeLessThan(3_000);
    await bad.close();
  });

  test("what waits is sent by a stop", async () => {
    const one = await startService({ ...traced(), limits: { spanBatchIntervalMs: 60_000 } });
    const webhook = await createForwardingWebhook(one, null);
    const { secret, receiveUrl } = webhook;
    const { body } = await send(receiveUrl, "{}", hubSignature(secret, "{}"));
    await one.stop();
    expect(collector.spans.filter((span) => span.traceId === traceIdOf(body.eventId))).toHaveLength(1);
  });
});
