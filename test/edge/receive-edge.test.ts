/** The receive path over both versions of HTTP: methods, sizes, and connections that live on after a refusal. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from "node:http2";
import { json, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { open, statusOf } from "./wire.ts";

const MAX = 50_000;

let service: TestService;
let path: string;
let secret: string;

beforeAll(async () => {
  service = await startService({ env: { MAX_PAYLOAD_BYTES: String(MAX) } });
  const webhook = (await service.api.post("/webhooks", { name: "w" })).body;
  path = new URL(webhook.receiveUrl).pathname;
  secret = webhook.secret;
});
afterAll(async () => {
  await service?.stop();
});

interface Seen {
  readonly status: number | undefined;
  readonly code: unknown;
  readonly allow: unknown;
}

type Send = (method: string, body: Buffer, headers?: OutgoingHttpHeaders) => Promise<Seen>;

const codeOf = (body: unknown) => (body as { error?: { code?: unknown } }).error?.code;

/** Over HTTP/1.1, on one connection as long as it lives; `ports` are the client's. */
function over1(agent: Agent, ports: Set<number | undefined>): Send {
  return async (method, body, headers = {}) => {
    const sent = request({ port: service.port, host: "127.0.0.1", agent, method, path, headers });
    sent.end(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    ports.add(response.socket.localPort);
    const code = codeOf(await json(response));
    return { status: response.statusCode, code, allow: response.headers.allow };
  };
}

function over2(session: ClientHttp2Session): Send {
  return async (method, body, headers = {}) => {
    const stream = session.request({ ...headers, ":method": method, ":path": path }, { endStream: false });
    // A stream that is reset after its answer has still been answered.
    stream.on("error", () => {});
    stream.end(body);
    const [answered] = (await once(stream, "response")) as [Record<string, string & number>];
    const code = codeOf(JSON.parse(await text(stream)));
    return { status: answered[":status"], code, allow: answered.allow };
  };
}

const good = Buffer.alloc(MAX, "a");
const over = Buffer.alloc(MAX + 1, "a");
const signed = (body: Buffer) => hubSignature(secret, body);
const taken = { status: 200, code: undefined, allow: undefined };
const tooLarge = { status: 413, code: "PAYLOAD_TOO_LARGE", allow: undefined };
const notAllowed = { status: 405, code: "METHOD_NOT_ALLOWED", allow: "POST" };

describe.each<[string, () => { send: Send; close: () => void }]>([
  [
    "HTTP/1.1",
    () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      return { send: over1(agent, new Set()), close: () => agent.destroy() };
    },
  ],
  [
    "HTTP/2",
    () => {
      const session = connect(service.url);
      return { send: over2(session), close: () => session.close() };
    },
  ],
])("over %s", (_version, start) => {
  test("the cap, by declared and by counted length", async () => {
    const { send, close } = start();
    const declared = (body: Buffer) => ({ ...signed(body), "content-length": body.length });
    expect(await send("POST", good, declared(good))).toEqual(taken);
    expect(await send("POST", good, signed(good))).toEqual(taken);
    expect(await send("POST", over, declared(over))).toEqual(tooLarge);
    expect(await send("POST", over, signed(over))).toEqual(tooLarge);
    expect(await send("POST", good, signed(good))).toEqual(taken);
    close();
  });

  test.each(["PATCH", "GET", "PUT", "DELETE"])(
    "%s is 405 and names POST, and the connection goes on",
    async (method) => {
      const { send, close } = start();
      expect(await send(method, Buffer.from("{}"), { "content-length": 2 })).toEqual(notAllowed);
      expect(await send("POST", good, signed(good))).toEqual(taken);
      close();
    },
  );
});

test("one HTTP/1.1 connection lives on after every small refusal", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  const send = over1(agent, ports);
  const statuses: (number | undefined)[] = [];
  const small = Buffer.from("{}");
  for (const [method, headers] of [
    ["POST", {}],
    ["PATCH", {}],
    ["POST", { "x-hub-signature-256": "sha256=00" }],
    ["GET", {}],
    ["POST", signed(small)],
  ] as const) {
    statuses.push((await send(method, small, { ...headers, "content-length": small.length })).status);
  }
  expect(statuses).toEqual([401, 405, 401, 405, 200]);
  expect(ports.size).toBe(1);
  agent.destroy();
});

test("a refused HTTP/2 stream leaves the others of its connection alone", async () => {
  const session = connect(service.url);
  const send = over2(session);
  const bodies = [good, over, good, over, good];
  const answers = await Promise.all(bodies.map((body) => send("POST", body, signed(body))));
  expect(answers).toEqual([taken, tooLarge, taken, tooLarge, taken]);
  expect(session.destroyed).toBe(false);
  session.close();
});

test("413 comes before a declared body has been sent, and ends a connection that goes on sending", async () => {
  const socket = await open(service.port);
  const answer = text(socket).catch(() => "");
  const length = 1_000 * MAX;
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
  const whole = await answer;
  expect(statusOf(whole)).toBe(413);
  expect(whole).toMatch(/\r\nconnection: close\r\n/i);
});

test("nothing that was refused has been recorded", async () => {
  const { items } = (await service.api.get("/webhooks/events?limit=100")).body;
  const sizes = new Set(items.map((event: { size: number }) => event.size));
  expect([...sizes].filter((size) => size !== MAX && size !== 2)).toEqual([]);
});
