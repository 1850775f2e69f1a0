/** What `/metrics` says after known traffic, and that nobody but us decides how many series there are. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ATTEMPT_ERROR_CODES } from "../../src/delivery/attempt-error.ts";
import { createForwardingWebhook } from "../delivery/forwarding.ts";
import { createWebhook, githubHeaders, sendHub } from "../receive/senders.ts";
import { hubSignature, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { type Scrape, scrape } from "../support/exposition.ts";
import { startService, type TestService } from "../support/service.ts";

const METRICS = { METRICS_PORT: "0" };
const UNKNOWN_ID = "01890a5d-ac96-774b-bcce-b302099a8057";

let service: TestService;
let destination: Destination;
let before: Scrape;

const look = () => scrape(service.app.metricsUrl);

beforeAll(async () => {
  service = await startService({ env: METRICS, limits: { metricsStoreIntervalMs: 0 } });
});
beforeEach(async () => {
  destination = await startDestination();
  before = await look();
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

type Labels = Readonly<Record<string, string>>;

/** How much a series has grown since the test began. */
const grown = (now: Scrape, name: string, labels: Labels) => now.value(name, labels) - before.value(name, labels);

/** By how much each series of a family has grown, those that have. */
function growth(now: Scrape, name: string): Record<string, number> {
  const series = now.families.get(name)?.series.get(name) ?? [];
  const all = series.map(({ labels }) => [Object.values(labels).join(" "), grown(now, name, labels)] as const);
  return Object.fromEntries(all.filter(([, by]) => by !== 0));
}

/** Scrapes until so many attempts more have been counted. */
async function afterAttempts(count: number): Promise<Scrape> {
  return await eventually(`${count} attempts counted`, async () => {
    const now = await look();
    const all = Object.values(growth(now, "alumia_attempts_total")).reduce((sum, by) => sum + by, 0);
    return all === count && now;
  });
}

describe("receives", () => {
  test("are counted by outcome, exactly, whichever way they came", async () => {
    const webhook = await createWebhook(service.api, { source: "github", events: ["issues.*"] });
    const disabled = await createWebhook(service.api, { status: "disabled" });
    const body = '{"action":"opened"}';
    const wanted = await githubHeaders(webhook.secret, body);
    const other = await githubHeaders(webhook.secret, "{}", { event: "push" });
    const none = { "x-hub-signature-256": `sha256=${"0".repeat(64)}`, "x-github-event": "issues" };
    await send(webhook.receiveUrl, body, wanted);
    await send(webhook.receiveUrl, body, wanted);
    await send(webhook.receiveUrl, "{}", other);
    for (let n = 0; n < 3; n++) await send(webhook.receiveUrl, body, none);
    await send(webhook.receiveUrl, body, {});
    await send(disabled.receiveUrl, body, hubSignature(disabled.secret, body));
    await send(webhook.receiveUrl.replace(webhook.id, UNKNOWN_ID), body, wanted);
    await send(webhook.receiveUrl.replace(webhook.id, "nonsense"), body, wanted);
    await send(webhook.receiveUrl, new Uint8Array(5 * 1024 * 1024 + 1), wanted);
    // Over RPC: a Connect call in JSON.
    const call = await fetch(`${service.url}/alumia.webhooks.v1.ReceiveService/Receive`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ webhookId: webhook.id, body: { contentType: "application/json", data: "e30=" } }),
    });
    expect(call.status).toBe(401);
    await service.api.post("/webhooks/test", { webhookId: webhook.id, eventType: "issues.opened" });
    const greeted = await createWebhook(service.api, { source: "dropbox" });
    expect((await fetch(`${greeted.receiveUrl}?challenge=abc`)).status).toBe(200);

    const now = await look();
    expect(growth(now, "alumia_receives_total")).toEqual({
      recorded: 2,
      duplicate: 1,
      filtered: 1,
      handshake: 1,
      unauthorized: 5,
      forbidden: 1,
      not_found: 2,
      payload_too_large: 1,
    });
    // The test event came as a message.
    expect(grown(now, "alumia_receive_stage_seconds_count", { stage: "read" })).toBe(3);
    for (const stage of ["verify", "commit"]) {
      expect(grown(now, "alumia_receive_stage_seconds_count", { stage }), stage).toBe(4);
    }
    expect(grown(now, "alumia_batch_rows_sum", { batch: "receive" })).toBe(4);
    expect(grown(now, "alumia_batch_rows_sum", { batch: "repeats" })).toBe(1);
    expect(grown(now, "alumia_batch_seconds_count", { batch: "repeats" })).toBe(1);
    expect(now.value("alumia_body_bytes")).toBe(0);
  });
});

describe("attempts", () => {
  test("are counted by outcome and error code, with what they waited for", async () => {
    const webhook = await createForwardingWebhook(service, destination.url);
    const close = { connection: "close" };
    destination.behave((_arrival, response, count) => response.writeHead(count === 1 ? 500 : 204, close).end());
    await webhook.settled(await webhook.sendEvent(), "succeeded", 2);
    destination.behave((_arrival, response) => response.writeHead(410, close).end());
    await webhook.sendEvent();
    const now = await afterAttempts(3);
    expect(growth(now, "alumia_attempts_total")).toEqual({
      "retry http_status": 1,
      "succeeded none": 1,
      "stopped http_status": 1,
    });
    for (const stage of ["queue", "attempt", "connect", "first_byte", "completion"]) {
      expect(grown(now, "alumia_delivery_stage_seconds_count", { stage }), stage).toBe(3);
    }
    // What did not take place is not counted as if it had taken no time.
    expect(now.labelValues("alumia_delivery_stage_seconds_count", "stage")).not.toContain("dns");
    expect(grown(now, "alumia_batch_rows_sum", { batch: "complete" })).toBe(3);
  });

  test("one that fell due an hour ago has waited for an hour", async () => {
    const webhook = await createForwardingWebhook(service, destination.url);
    destination.behave(answer(500));
    const eventId = await webhook.sendEvent();
    await webhook.settled(eventId, "pending", 2);
    destination.behave(answer(200));
    const hourAgo = "update delivery_queue set due_at = now() - interval '1 hour' where destination_id = $1";
    await service.pool.query(hourAgo, [webhook.id]);
    service.app.worker.wake();
    await webhook.settled(eventId, "succeeded", 3);
    const now = await afterAttempts(3);
    const waited = grown(now, "alumia_delivery_stage_seconds_sum", { stage: "queue" });
    expect(waited).toBeGreaterThan(3_599);
    expect(waited).toBeLessThan(3_660);
  });

  test("what a tenant sets as url, type and source adds no series of its own", async () => {
    const warm = await createForwardingWebhook(service, destination.url);
    await warm.settled(await warm.sendEvent(), "succeeded", 1);
    const { size } = await afterAttempts(1);
    for (let n = 0; n < 20; n++) {
      const source = `source-${n}`;
      const webhook = await createWebhook(service.api, { source, url: `${destination.url}/${n}`, name: source });
      await sendHub(webhook, JSON.stringify({ type: `type.${n}` }), { "x-request-id": source });
      await send(webhook.receiveUrl.replace(webhook.id, `${UNKNOWN_ID.slice(0, -2)}${n + 10}`), "{}", {});
      await fetch(`${service.url}/api/v1/webhooks/receive/${source}`, { method: "POST", body: "{}" });
      await fetch(`${service.url}/${source}`, { method: "BREW".slice(0, 3) + n });
      await fetch(new URL(`/metrics/${source}?${source}`, service.app.metricsUrl));
    }
    const now = await afterAttempts(21);
    // The first refusal of its kind may be new.
    expect(now.size - size).toBeLessThanOrEqual(1);
    const text = now.text.replaceAll(/^# .*$/gm, "");
    expect(text).not.toMatch(/source-|type\.|127\.0\.0\.1|01890a5d/);
  });

  test("error codes are those of the closed list", async () => {
    const known: readonly string[] = ["none", ...ATTEMPT_ERROR_CODES];
    const codes = (await look()).labelValues("alumia_attempts_total", "error_code");
    expect(codes).toContain("http_status");
    expect(codes.filter((code) => !known.includes(code))).toEqual([]);
  });
});
