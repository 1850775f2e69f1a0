/** What is kept of a request: its exact bytes, whatever they are, and its headers without credentials. */
import { randomBytes } from "node:crypto";
import { connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, readEvent, sendHub } from "./senders.ts";

let service: TestService;
let destination: Destination;
let webhook: CreatedWebhook;

beforeAll(async () => {
  [service, destination] = await Promise.all([startService(), startDestination()]);
  webhook = await createWebhook(service.api);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

/** The raw body as `/body` gives it. */
async function readBody(eventId: string): Promise<{ bytes: Buffer; contentType: string | null }> {
  const response = await fetch(`${service.url}/api/v1/webhooks/events/${eventId}/body`, {
    headers: { authorization: `Bearer ${service.key}` },
  });
  expect(response.status).toBe(200);
  return { bytes: Buffer.from(await response.arrayBuffer()), contentType: response.headers.get("content-type") };
}

const bodies: [name: string, contentType: string, body: Uint8Array<ArrayBuffer>, payload: string | null][] = [
  ["JSON with spaces and key order", "application/json", utf8('{ "b":1,\n "a":  1e2 }'), '{ "b":1,\n "a":  1e2 }'],
  ["a form", "application/x-www-form-urlencoded", utf8("a=1&b=%20"), "a=1&b=%20"],
  ["XML", 'text/xml; charset="utf-8"', utf8("<a/>\r\n"), "<a/>\r\n"],
  ["nothing", "text/plain", utf8(""), ""],
  ["NUL bytes", "text/plain", utf8("a\0b"), "a\0b"],
  ["a byte order mark", "application/json", utf8('\ufeff{"type":"x"}'), '\ufeff{"type":"x"}'],
  ["bytes that are not UTF-8", "application/octet-stream", Uint8Array.of(0xff, 0xfe, 0, 0x80), null],
  ["Latin-1 called UTF-8", "application/json; charset=utf-8", Uint8Array.of(0x22, 0xe9, 0x22), null],
  ["1 MiB of noise", "application/x-protobuf", random(1_048_576), null],
];

function utf8(value: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(value));
}
function random(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(randomBytes(bytes));
}

test.each(bodies)("kept exactly: %s", async (_name, contentType, body, payload) => {
  const eventId = await sendHub(webhook, body, { "content-type": contentType });
  const event = await readEvent(service.api, eventId);
  expect(event).toMatchObject({ contentType, size: body.length, bodyOmitted: false });
  expect(event.payload).toBe(payload);
  expect(Buffer.from(event.body, "base64").equals(body)).toBe(true);
  const kept = await readBody(eventId);
  expect(kept.bytes.equals(body)).toBe(true);
  expect(kept.contentType).toBe(contentType);
});

test("forwarded exactly: noise arrives as it was sent", async () => {
  const forwarding = await createWebhook(service.api, { url: destination.url });
  const body = random(100_000);
  await sendHub(forwarding, body, { "content-type": "application/octet-stream" });
  const [arrival] = await destination.arrived(1);
  expect(arrival?.body.equals(body)).toBe(true);
  expect(arrival?.headers["content-type"]).toBe("application/octet-stream");
});

test("headers are kept, credentials are not", async () => {
  const credentials = {
    authorization: "Bearer hunter2",
    "proxy-authorization": "Basic hunter2",
    cookie: "session=hunter2",
    "x-api-key": "hunter2",
    "x-auth-token": "hunter2",
    "X-Gitlab-Token": "hunter2",
  };
  const kept = { "user-agent": "Provider/1.0", "x-request-id": "r-1", "x-empty": "" };
  const body = '{"n":1}';
  const signature = hubSignature(webhook.secret, body);
  const eventId = await sendHub(webhook, body, { ...credentials, ...kept });
  const { headers } = await readEvent(service.api, eventId);
  expect(headers).toMatchObject({ ...kept, ...signature, "content-type": "application/json" });
  for (const name of Object.keys(credentials)) expect(headers[name.toLowerCase()]).toBe("[redacted]");
  const { rows } = await service.pool.query<{ stored: string }>(
    "select headers::text as stored from events where id = $1",
    [eventId],
  );
  expect(rows[0]?.stored).toContain("x-request-id");
  expect(rows[0]?.stored).not.toContain("hunter2");
});

test("repeated headers and bytes above ASCII in values are kept, in the order they came", async () => {
  const body = "x";
  const { "x-hub-signature-256": signature } = hubSignature(webhook.secret, body);
  const head = [
    `POST ${new URL(webhook.receiveUrl).pathname} HTTP/1.1`,
    "Host: localhost",
    "X-Twice: one",
    `X-Hub-Signature-256: ${signature}`,
    "x-twice: tw\u00e9",
    "Content-Length: 1",
    "Connection: close",
  ];
  const socket = connectSocket(service.port, "127.0.0.1");
  socket.write(Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`, "latin1"));
  const answer = await text(socket);
  expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  const eventId = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4)).eventId;
  const { rows } = await service.pool.query("select headers, content_type from events where id = $1", [eventId]);
  expect(rows[0]?.content_type).toBeNull();
  expect(rows[0]?.headers).toEqual([
    ["Host", "localhost"],
    ["X-Twice", "one"],
    ["X-Hub-Signature-256", signature],
    ["x-twice", "tw\u00e9"],
    ["Content-Length", "1"],
    ["Connection", "close"],
  ]);
  expect((await readEvent(service.api, eventId)).headers["x-twice"]).toBe("one, tw\u00e9");
});

test("HTTP/2 is taken as well, and its pseudo-headers are no headers of the event", async () => {
  const body = '{"type":"h2"}';
  const session = connect(service.url);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": new URL(webhook.receiveUrl).pathname,
      ...hubSignature(webhook.secret, body),
    });
    stream.end(body);
    const answer = JSON.parse(await text(stream));
    expect(answer).toMatchObject({ received: true, duplicate: false });
    const event = await readEvent(service.api, answer.eventId);
    expect(event).toMatchObject({ type: "h2", payload: body });
    expect(Object.keys(event.headers)).toEqual(["x-hub-signature-256"]);
  } finally {
    session.close();
  }
});

test("a body over the inline bound is left out of the event and had from /body", async () => {
  const body = random(3 * 1_048_576 + 1);
  const eventId = await sendHub(webhook, body);
  expect(await readEvent(service.api, eventId)).toMatchObject({
    body: null,
    payload: null,
    bodyOmitted: true,
    size: body.length,
  });
  expect((await readBody(eventId)).bytes.equals(body)).toBe(true);
});

test("a body is only shown to its organization", async () => {
  const eventId = await sendHub(webhook, "secret");
  const other = await service.otherOrganization();
  expect((await other.get(`/webhooks/events/${eventId}/body`)).status).toBe(404);
  expect((await send(`${service.url}/api/v1/webhooks/events/${eventId}/body`, "", {})).status).not.toBe(200);
});
