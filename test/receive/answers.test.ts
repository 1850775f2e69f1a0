/** What each provider is answered: in the form that it wants, after the commit, and before any delivery has ended. */

import { generateKeyPairSync, sign as signBytes } from "node:crypto";
import type { ServerResponse } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PRESETS } from "../../src/signature/presets.ts";
import { samplePayload, sign } from "../../src/signature/sign.ts";
import { findSource } from "../../src/signature/source.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, eventsOf } from "./senders.ts";

let service: TestService;
let destination: Destination;
const waiting: ServerResponse[] = [];

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  destination.behave((_arrival, response) => waiting.push(response));
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

const RECEIPT = /^\{"received":true,"eventId":"[0-9a-f-]{36}","duplicate":false\}$/;
const JSON_TYPE = "application/json";
const FORM = "application/x-www-form-urlencoded";

/** Status, content type and body. Twilio's is in `vendor-sdks`, because it signs the URL. */
const cases: [source: string, status: number, type: string | null, body: RegExp, asked?: string][] = [
  ["github", 200, JSON_TYPE, RECEIPT],
  ["stripe", 200, JSON_TYPE, RECEIPT],
  ["linear", 200, JSON_TYPE, RECEIPT],
  ["slack", 200, JSON_TYPE, RECEIPT],
  ["slack", 200, null, /^$/, FORM],
  ["discord", 204, JSON_TYPE, /^$/],
  ["adyen", 200, "text/plain", /^\[accepted\]$/],
  ["microsoft-graph", 202, JSON_TYPE, RECEIPT],
  ["microsoft-teams", 200, JSON_TYPE, /^\{"type":"message","text":"Received\."\}$/],
  ["airtable", 200, null, /^$/],
];

test("every answer of its own is here", () => {
  const own = Object.entries(PRESETS).flatMap(([name, { success }]) => (success ? [name] : []));
  expect(own.filter((name) => name !== "twilio" && !cases.some(([source]) => source === name))).toEqual([]);
});

const edwards = generateKeyPairSync("ed25519");

/** An event of the source, signed as it would. */
function eventOf(name: string, secret: string, contentType: string): { headers: Record<string, string>; body: string } {
  const nowMs = Date.now();
  if (name === "discord") {
    const [time, body] = [String(Math.floor(nowMs / 1_000)), '{"type":2,"id":"1"}'];
    const signature = signBytes(null, Buffer.from(time + body), edwards.privateKey).toString("hex");
    return { body, headers: { "x-signature-timestamp": time, "x-signature-ed25519": signature } };
  }
  const asked = { type: "a.b", eventId: "id1", nowMs };
  const payload = JSON.stringify(samplePayload(findSource(name), asked));
  const text = contentType === FORM ? `payload=${encodeURIComponent(payload)}` : payload;
  const signed = sign(findSource(name), secret, { ...asked, body: Buffer.from(text), url: undefined });
  if (!signed) throw new Error(`${name} cannot be signed for`);
  return { body: signed.body.toString(), headers: Object.fromEntries(signed.headers) };
}

test.each(cases)("%s: %i %s %s", async (source, status, type, expected, contentType = JSON_TYPE) => {
  const publicKey = edwards.publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex");
  const known = source === "discord" ? { secret: publicKey } : {};
  const webhook = await createWebhook(service.api, { source, url: destination.url, ...known });
  const { headers, body } = eventOf(source, webhook.secret, contentType);
  const before = destination.arrivals.length;
  const answer = await fetch(webhook.receiveUrl, {
    method: "POST",
    headers: { "content-type": contentType, ...headers },
    body,
  });
  const told = [answer.status, answer.headers.get("content-type"), await answer.text()];
  expect(told).toEqual([status, type, expect.stringMatching(expected)]);
  // The event is there, and its delivery waits for an answer that has not come.
  expect(await eventsOf(service.api, webhook)).toHaveLength(1);
  await destination.arrived(before + 1);
  const delivery = async () => (await service.api.get(`/webhooks/${webhook.id}/deliveries`)).body.items[0];
  expect(await delivery()).toMatchObject({ status: "delivering", attemptCount: 0 });
  waiting.shift()?.writeHead(200).end();
  await eventually("the delivery succeeds", async () => (await delivery()).status === "succeeded");
});
