/** What an attempt's record tells: its cause, where its time went, what was sent and came back, and what follows. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook, msBetween, outline } from "./forwarding.ts";

const HOUR_MS = 3_600_000;
let service: TestService;
let dns: DnsServer;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  dns = await startDnsServer(() => ({ addresses: ["127.0.0.1"] }));
  service = await startService({ resolver: dns.resolver });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
  await dns?.close();
});

describe("times", () => {
  test("the first attempt looks up and connects, the next one reuses the connection", async () => {
    await webhook.patch({ url: `http://hooks.example.com:${destination.port}/` });
    const first = await webhook.settled(await webhook.sendEvent('{"n":1}'), "succeeded");
    const second = await webhook.settled(await webhook.sendEvent('{"n":2}'), "succeeded");
    const number = expect.any(Number);
    const reused = { dnsMs: null, connectMs: null };
    expect(first.attempts[0].times).toEqual({
      ...{ dnsMs: number, connectMs: number, tlsMs: null, firstByteMs: number },
      totalMs: first.attempts[0].durationMs,
    });
    expect(second.attempts[0].times).toMatchObject({ ...reused, tlsMs: null, firstByteMs: number, totalMs: number });
    expect(second.attempts[0].remoteAddress).toBe("127.0.0.1");
  });

  test("an attempt that connects to nobody tells how far it came", async () => {
    await destination.close();
    await webhook.patch({ url: `http://hooks.example.com:${destination.port}/` });
    const failed = await webhook.settled(await webhook.sendEvent(), "pending", 2);
    expect(failed.attempts[0]).toMatchObject({
      ...{ errorCode: "connect", remoteAddress: null, responseBody: null, responseHeaders: {} },
      times: { dnsMs: expect.any(Number), connectMs: null, tlsMs: null, firstByteMs: null },
    });
    destination = await startDestination();
  });
});

describe("what came back", () => {
  test("headers and body are kept, cookies and what is too much are not", async () => {
    const body = "x".repeat(20_000);
    destination.behave(answer(200, { "X-Seen": "yes", "set-cookie": "session=secret" }, body));
    const { attempts } = await webhook.settled(await webhook.sendEvent(), "succeeded");
    expect(attempts[0]).toMatchObject({ responseBody: body.slice(0, 16_384), responseTruncated: true });
    expect(attempts[0].responseHeaders).toMatchObject({ "x-seen": "yes", "set-cookie": "[redacted]" });
    destination.behave(answer(200, {}, "ok"));
    const { attempts: next } = await webhook.settled(await webhook.sendEvent('{"n":2}'), "succeeded");
    expect(next[0]).toMatchObject({ responseBody: "ok", responseTruncated: false });
  });
});

describe("what follows", () => {
  test("each attempt says whether and when another was to follow", async () => {
    destination.behave(answer(500));
    const eventId = await webhook.sendEvent();
    const waiting = await webhook.settled(eventId, "pending", 2);
    for (const attempt of waiting.attempts) expect(attempt).toMatchObject({ willRetry: true });
    expect(waiting.attempts[1].nextAttemptAt).toBe(waiting.nextAttemptAt);
    const untilMs = msBetween(waiting.attempts[1].startedAt, waiting.attempts[1].nextAttemptAt);
    expect(untilMs).toBeGreaterThan(0.85 * HOUR_MS);
    for (const count of [3, 4]) {
      await service.advanceQueue(10 * HOUR_MS);
      await webhook.settled(eventId, count === 4 ? "failed" : "pending", count);
    }
    const { attempts } = await webhook.settled(eventId, "failed");
    expect(attempts[3]).toMatchObject({ willRetry: false, nextAttemptAt: null });
    destination.behave(answer(200));
    const done = await webhook.settled(await webhook.sendEvent('{"n":2}'), "succeeded");
    expect(done.attempts[0]).toMatchObject({ willRetry: false, nextAttemptAt: null });
  });
});

describe("triggers", () => {
  test.each([
    ["a pause", { status: "paused" }, { status: "active" }],
    ["a stop", { forwarding: { state: "stopped" } }, { forwarding: { state: "active" } }],
  ])(
    "what waited for the end of %s is sent by the resume, and follows the schedule then",
    async (_what, hold, release) => {
      destination.behave(answer(500));
      await webhook.patch(hold);
      const eventId = await webhook.sendEvent();
      await webhook.settled(eventId, "paused");
      await webhook.patch(release);
      const tried = await webhook.settled(eventId, "pending", 2);
      expect(outline(tried)).toEqual(["1 resume http_status", "2 scheduled http_status"]);
    },
  );

  test("what is not due yet at a resume goes by the schedule", async () => {
    destination.behave(answer(500));
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "pending", 2);
    await webhook.patch({ status: "paused" });
    await webhook.settled(eventId, "paused");
    await webhook.patch({ status: "active" });
    await webhook.settled(eventId, "pending", 2);
    await service.advanceQueue(2 * HOUR_MS);
    const tried = await webhook.settled(eventId, "pending", 3);
    expect(outline(tried)[2]).toBe("3 scheduled http_status");
  });

  test("a replay is manual, also where it waits for a resume; its retries are the schedule's", async () => {
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "succeeded");
    destination.behave(answer(500));
    await webhook.patch({ status: "paused" });
    await service.api.post(`/webhooks/events/${eventId}/replay`);
    await webhook.patch({ status: "active" });
    await destination.arrived(3);
    const deliveries = await webhook.deliveriesOf(eventId);
    const replayed = await service.api.get(`/webhooks/deliveries/${deliveries[1].id}`);
    expect(outline(replayed.body).slice(0, 1)).toEqual(["1 manual http_status"]);
    expect(deliveries.map((delivery) => outline(delivery)[0])).toEqual([
      "1 scheduled succeeded",
      "1 manual http_status",
    ]);
  });

  test("an attempt that is taken over after a lost lease keeps its cause", async () => {
    destination.behave(() => {});
    await webhook.patch({ status: "paused" });
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "paused");
    await webhook.patch({ status: "active" });
    await destination.arrived(1);
    destination.behave(answer(200));
    await service.pool.query("update delivery_queue set due_at = now() - interval '1 second' where webhook_id = $1", [
      webhook.id,
    ]);
    service.app.worker.wake();
    const done = await webhook.settled(eventId, "succeeded");
    expect(outline(done)).toEqual(["1 resume interrupted", "2 resume succeeded"]);
  });
});
