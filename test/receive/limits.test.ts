/** The cap on bodies, declared or not, and the refusals that come before anything else. */
import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, hubSignature, readAnswer, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, readEvent, refused } from "./senders.ts";

const MAX = 100_000;
let service: TestService;
let webhook: CreatedWebhook;

beforeAll(async () => {
  service = await startService({ env: { MAX_PAYLOAD_BYTES: String(MAX) } });
  webhook = await createWebhook(service.api);
});
afterAll(async () => {
  await service?.stop();
});

/** Sends with a declared length, or in chunks of no declared total. */
async function post(bytes: number, how: "declared" | "chunked", url = webhook.receiveUrl): Promise<Answer> {
  const body = new Uint8Array(bytes).fill(0x61);
  if (how === "declared") return await send(url, body, hubSignature(webhook.secret, body));
  const chunks = ReadableStream.from([body.subarray(0, bytes / 2), body.subarray(bytes / 2)]);
  const response = await fetch(url, {
    method: "POST",
    body: chunks,
    headers: hubSignature(webhook.secret, body),
    // Undici sends a stream only if told that the answer may come first.
    duplex: "half",
  });
  return await readAnswer(response);
}

test.each([
  ["declared", MAX, 200],
  ["chunked", MAX, 200],
  ["declared", MAX + 1, 413],
  ["chunked", MAX + 1, 413],
  ["chunked", 3 * MAX, 413],
] as const)("%s body of %i bytes: %i", async (how, bytes, status) => {
  const before = (await eventsOf(service.api, webhook)).length;
  const answer = await post(bytes, how);
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  if (status === 200) {
    expect((await readEvent(service.api, answer.body.eventId)).size).toBe(bytes);
  } else {
    expect(answer.body.error).toMatchObject({ code: "PAYLOAD_TOO_LARGE", message: expect.stringContaining(`${MAX}`) });
    expect(await eventsOf(service.api, webhook)).toHaveLength(before);
  }
});

test("a declared length over the cap is refused before any of the body has come", async () => {
  const socket = connect(service.port, "127.0.0.1");
  const path = new URL(webhook.receiveUrl).pathname;
  socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${MAX + 1}\r\n\r\n`);
  const first = await new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  expect(first).toMatch(/^HTTP\/1\.1 413 /);
  socket.destroy();
});

test("many bodies over the cap leave room for the next", async () => {
  const answers = await Promise.all(Array.from({ length: 40 }, () => post(MAX + 1, "chunked")));
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([413]));
  expect((await post(MAX, "declared")).status).toBe(200);
});

const unknown: [name: string, path: string][] = [
  ["an unknown id", randomUUID()],
  ["no UUID", "not-a-uuid"],
  ["nothing", ""],
  ["a path below", `${randomUUID()}/more`],
  ["a percent-encoded id", "%00"],
  ["an id with braces", `{${randomUUID()}}`],
];

test.each(unknown)("%s: 404", async (_name, id) => {
  const answer = await send(`${service.url}/api/v1/webhooks/receive/${id}`, "{}", hubSignature("x", "{}"));
  expect(refused(answer)).toEqual([404, "NOT_FOUND"]);
  expect(answer.body.error.details).toEqual([]);
});

test("an id in upper case and a query string are no obstacle", async () => {
  const url = webhook.receiveUrl.replace(webhook.id, webhook.id.toUpperCase());
  const answer = await post(10, "declared", `${url}?from=provider`);
  expect(answer.status).toBe(200);
  expect((await readEvent(service.api, answer.body.eventId)).webhookId).toBe(webhook.id);
});

test.each(["GET", "PUT", "DELETE"])("%s: 405 that names POST", async (method) => {
  const response = await fetch(webhook.receiveUrl, { method });
  expect(response.status).toBe(405);
  expect(response.headers.get("allow")).toBe("POST");
  expect((await readAnswer(response)).body.error.code).toBe("METHOD_NOT_ALLOWED");
});

test("a request that contradicts itself about its length records nothing", async () => {
  const before = await eventsOf(service.api, webhook);
  const path = new URL(webhook.receiveUrl).pathname;
  const { "x-hub-signature-256": signature } = hubSignature(webhook.secret, "a");
  const socket = connect(service.port, "127.0.0.1");
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: ${signature}\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  );
  expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 /);
  expect(await eventsOf(service.api, webhook)).toEqual(before);
});
