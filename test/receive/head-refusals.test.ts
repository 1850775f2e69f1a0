/** Refusals that rest on the head alone: given before the body has come, in the words of the full verification. */
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { jsonOf, open, statusOf } from "../edge/wire.ts";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, type Headers, receiveUrlAt } from "./senders.ts";

/** More than is read ahead, so that nothing of it is waited for. */
const DECLARED = 1_000_000;
const HUB = hubSignature("whatever", "");

let service: TestService;
let replica: TestService;

beforeAll(async () => {
  service = await startService();
  replica = await startService({ replicaOf: service });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

/** The whole of one answer: the connection itself ends later, for a sender that goes on sending. */
async function readAnswer(socket: Socket): Promise<string> {
  let answer = "";
  for await (const chunk of socket) {
    answer += chunk;
    if (answer.endsWith("}")) break;
  }
  return answer;
}

/** Sends a head that declares a body, and of the body only `body`; resolves to the answer. */
async function sendHead(url: string, headers: Headers, body = Buffer.alloc(0)) {
  const socket = await open(Number(new URL(url).port));
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = body.length || DECLARED;
  socket.write(`POST ${new URL(url).pathname} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${length}\r\n`);
  socket.write(`${lines.join("")}Connection: close\r\n\r\n`);
  socket.write(body);
  const answer = await readAnswer(socket);
  return { status: statusOf(answer), body: jsonOf(answer) };
}

const cases: [name: string, change: object, headers: Headers, status: number][] = [
  ["disabled", { status: "disabled" }, HUB, 403],
  ["no signature", { name: "other" }, {}, 401],
  ["another provider's signature", { source: "github" }, { "stripe-signature": "t=1,v1=00" }, 401],
  ["both forms at once", { name: "other" }, { ...HUB, "webhook-signature": "v1,AAAA" }, 401],
];

test.each(cases)("%s: before the body, as with it", async (_name, change, headers, status) => {
  const webhook = await createWebhook(service.api);
  expect((await service.api.patch(`/webhooks/${webhook.id}`, change)).status).toBe(200);
  for (const _round of ["not in memory", "in memory"]) {
    const whole = await send(webhook.receiveUrl, "{}", headers);
    expect(whole.status).toBe(status);
    expect(await sendHead(webhook.receiveUrl, headers)).toEqual({ status, body: whole.body });
  }
  expect(await eventsOf(service.api, webhook)).toEqual([]);
});

test("an unknown webhook: before the body, as with it", async () => {
  const url = receiveUrlAt(service.url, { id: randomUUID() } as CreatedWebhook);
  const whole = await send(url, "{}", HUB);
  expect(whole.status).toBe(404);
  expect(await sendHead(url, HUB)).toEqual({ status: 404, body: whole.body });
});

test("a head that only an old version of the webhook would refuse is admitted", async () => {
  const webhook = await createWebhook(service.api);
  await service.api.patch(`/webhooks/${webhook.id}`, { status: "disabled" });
  const there = receiveUrlAt(replica.url, webhook);
  expect((await send(there, "{}", HUB)).status).toBe(403);
  await service.api.patch(`/webhooks/${webhook.id}`, { status: "active" });
  const body = Buffer.alloc(DECLARED, "x");
  expect(await sendHead(there, hubSignature(webhook.secret, body), body)).toMatchObject({ status: 200 });
});

test("a signature that only the body can refuse waits for the body", async () => {
  const webhook = await createWebhook(service.api);
  const socket = await open(service.port);
  const path = new URL(webhook.receiveUrl).pathname;
  const { "x-hub-signature-256": signature } = hubSignature("forged", "{}");
  socket.write(`POST ${path} HTTP/1.1\r\nHost: a\r\nX-Hub-Signature-256: ${signature}\r\nContent-Length: 2\r\n\r\n{`);
  let answered = false;
  socket.once("data", () => {
    answered = true;
  });
  await send(webhook.receiveUrl, "{}", {});
  expect(answered).toBe(false);
  const answer = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.write("}");
  expect(statusOf(await answer)).toBe(401);
  socket.destroy();
});
