/** How many receives may be under way: for one client address, and verified ones for one webhook. */
import type { Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { open } from "../edge/wire.ts";
import { hubSignature, send } from "../support/api.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, refused, sendHub } from "./senders.ts";

const PER_CLIENT = 3;
let service: TestService;
let webhook: CreatedWebhook;

beforeAll(async () => {
  service = await startService({ limits: { receivesPerClientMax: PER_CLIENT, receivesPerWebhookMax: 1 } });
  webhook = await createWebhook(service.api);
  await sendHub(webhook, "{}");
});
afterAll(async () => {
  await service?.stop();
});

/** Receives of forged events whose bodies do not end. */
async function beginForged(count: number): Promise<Socket[]> {
  const path = new URL(webhook.receiveUrl).pathname;
  const { "x-hub-signature-256": signature } = hubSignature("forged", "");
  const sockets = await Promise.all(Array.from({ length: count }, () => open(service.port)));
  for (const socket of sockets) {
    socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: ${signature}\r\nContent-Length: 2\r\n\r\n{`);
  }
  await eventually("begun", async () => service.app.bodyBytes() === count);
  return sockets;
}

/** Receives over Connect; resolves to the status. */
async function receiveByRpc(): Promise<number> {
  const body = Buffer.from('{"rpc":1}');
  const response = await fetch(`${service.url}/alumia.webhooks.v1.ReceiveService/Receive`, {
    method: "POST",
    headers: { "content-type": "application/json", ...hubSignature(webhook.secret, body) },
    body: JSON.stringify({ webhookId: webhook.id, body: { data: body.toString("base64") } }),
  });
  await response.arrayBuffer();
  return response.status;
}

test("an address that has as many as may be is told 429 with Retry-After, until one ends", async () => {
  const sockets = await beginForged(PER_CLIENT);
  const answer = await send(webhook.receiveUrl, "{}", hubSignature(webhook.secret, "{}"));
  expect(refused(answer)).toEqual([429, "TOO_MANY_REQUESTS"]);
  expect(answer.headers.get("retry-after")).toBe("1");
  expect(await receiveByRpc()).toBe(429);
  for (const socket of sockets) socket.destroy();
  await eventually("gone", async () => service.app.bodyBytes() === 0);
  await sendHub(webhook, "{}");
  expect(await receiveByRpc()).toBe(200);
});

test("forged events do not count against the webhook that they are sent to", async () => {
  const sockets = await beginForged(PER_CLIENT - 1);
  await sendHub(webhook, "{}");
  for (const socket of sockets) socket.destroy();
});

test("a webhook with as many verified events as may be is told 429; another one is not", async () => {
  const other = await createWebhook(service.api);
  await sendHub(other, "{}");
  const client = await service.pool.connect();
  await client.query("begin; lock table events in access exclusive mode");
  const first = sendHub(webhook, '{"n":1}');
  await eventually("the first waits", async () => {
    const { rows } = await client.query("select 1 from pg_locks where not granted");
    return rows.length > 0;
  });
  const second = await send(webhook.receiveUrl, "{}", hubSignature(webhook.secret, "{}"));
  const elsewhere = sendHub(other, "{}");
  await client.query("commit");
  client.release();
  expect(refused(second)).toEqual([429, "TOO_MANY_REQUESTS"]);
  await Promise.all([first, elsewhere]);
});
