/** The deadline of a call is kept while its body is waited for, whatever the protocol. */
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { open } from "./wire.ts";

/** Far less than any bound of a body's time, milliseconds. */
const TIMEOUT_MS = 150;
const PATH = "/alumia.webhooks.v1.WebhookService/ListWebhooks";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => await service?.stop());

/** What is asked for, the beginning of its message, and how a deadline is told. */
const CALLS: [name: string, headers: Readonly<Record<string, string>>, begun: string, answer: RegExp][] = [
  [
    "Connect",
    { "content-type": "application/json", "connect-timeout-ms": String(TIMEOUT_MS) },
    '{"limit"',
    /"code":"deadline_exceeded"/,
  ],
  [
    "gRPC-Web",
    { "content-type": "application/grpc-web", "grpc-timeout": `${TIMEOUT_MS}m` },
    "\0\0\0\0\x10",
    /grpc-status: ?4\b/,
  ],
];

describe.each(CALLS)("%s: a body that never ends is answered at the deadline", (_name, headers, begun, answer) => {
  test("over HTTP/1.1, and the connection ends", async () => {
    const all = { host: "localhost", authorization: `Bearer ${service.key}`, "content-length": "100", ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    const socket = await open(service.port);
    socket.write(`POST ${PATH} HTTP/1.1\r\n${lines.join("")}\r\n${begun}`);
    const received = await text(socket);
    expect(received).toMatch(answer);
    expect(received).toMatch(/\r\nconnection: close\r\n/i);
  });

  test("over HTTP/2, and the connection goes on", async () => {
    const session = connectHttp2(service.url);
    const call = { ":method": "POST", ":path": PATH, authorization: `Bearer ${service.key}`, ...headers };
    const stream = session.request(call);
    stream.on("error", () => {});
    stream.write(begun);
    const [, received] = await Promise.all([once(stream, "response"), text(stream)]);
    expect(received).toMatch(answer);
    stream.close();
    const next = session.request({ ":path": "/healthz" });
    const [head] = await once(next, "response");
    expect(head).toMatchObject({ ":status": 200 });
    session.destroy();
  });
});
