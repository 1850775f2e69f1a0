/** `Expect: 100-continue` (RFC 9110 section 10.1.1): the body is asked for only where it is read. */
import { createHmac, randomUUID } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { open } from "./wire.ts";

let service: TestService;
let webhook: { id: string; secret: string };

beforeAll(async () => {
  service = await startService();
  webhook = (await service.api.post("/webhooks", { name: "expects" })).body;
});
afterAll(async () => {
  await service?.stop();
});

const pathOf = (id: string): string => `/api/v1/webhooks/receive/${id}`;
const signature = (body: string) => `sha256=${createHmac("sha256", webhook.secret).update(body).digest("hex")}`;

/** Sends a head; then, if it is asked for, the body. Resolves to all that came back, until the server closes. */
async function post(path: string, body: string, headers: string): Promise<string> {
  const socket = await open(service.port);
  const head = `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}`;
  socket.write(`${head}Connection: close\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`);
  socket.once("data", (first: Buffer) => {
    if (first.toString().startsWith("HTTP/1.1 100 ")) socket.write(body);
  });
  return await text(socket);
}

const finalStatus = (answer: string): string =>
  (answer.match(/HTTP\/1\.1 \d{3}/g) ?? []).map((it) => it.slice(-3)).join(" then ");

describe("HTTP/1.1", () => {
  test("a receive that is taken asks for its body, once", async () => {
    const answer = await post(pathOf(webhook.id), "{}", `X-Hub-Signature-256: ${signature("{}")}\r\n`);
    expect(finalStatus(answer)).toBe("100 then 200");
  });

  test("REST asks for its body once the caller is known", async () => {
    const body = JSON.stringify({ name: "asked" });
    const authorized = await post("/api/v1/webhooks", body, `Authorization: Bearer ${service.key}\r\n`);
    expect(finalStatus(authorized)).toBe("100 then 201");
    expect(finalStatus(await post("/api/v1/webhooks", body, ""))).toBe("401");
  });

  test("an RPC asks for its body once the caller is known", async () => {
    const path = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
    expect(finalStatus(await post(path, "{}", `Authorization: Bearer ${service.key}\r\n`))).toBe("100 then 200");
    expect(finalStatus(await post(path, "{}", ""))).toBe("401");
  });

  test.each([
    ["no UUID", () => pathOf("nobody"), 404],
    ["an unknown path", () => "/nothing", 404],
  ])("%s is refused without asking, and the connection ends", async (_name, path, status) => {
    const answer = await post(path(), "{}", "");
    expect(finalStatus(answer)).toBe(String(status));
    expect(answer).toMatch(/\r\nconnection: close\r\n/i);
  });
});

test("HTTP/2: a gRPC call that is taken asks for its message; one that is refused does not", async () => {
  const session = connectHttp2(service.url);
  const ask = async (authorization: string) => {
    const path = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
    const call = { ":method": "POST", ":path": path, "content-type": "application/grpc", authorization };
    const stream = session.request({ ...call, te: "trailers", expect: "100-continue" }, { endStream: false });
    const seen: unknown[] = [];
    stream.once("continue", () => {
      seen.push("asked");
      stream.end(Buffer.alloc(5));
    });
    stream.once("response", (head) => head["grpc-status"] && seen.push(head["grpc-status"]));
    stream.once("trailers", (trailers) => seen.push(trailers["grpc-status"]));
    await text(stream).catch(() => {});
    stream.close();
    return seen;
  };
  expect(await ask(`Bearer ${service.key}`)).toEqual(["asked", "0"]);
  expect(await ask("Bearer nobody")).toEqual(["16"]);
  session.close();
});

test("HTTP/2: a receive that is taken asks for its body; one that is refused does not", async () => {
  const session = connectHttp2(service.url);
  const ask = async (id: string) => {
    const headers = { ...hubSignature(webhook.secret, "{}"), expect: "100-continue" };
    const stream = session.request({ ":method": "POST", ":path": pathOf(id), ...headers }, { endStream: false });
    const seen: (string | number | undefined)[] = [];
    stream.once("continue", () => {
      seen.push("asked");
      stream.end("{}");
    });
    stream.once("response", (head) => seen.push(head[":status"]));
    // A refused stream is closed under the body that was never sent.
    await text(stream).catch(() => {});
    stream.close();
    return seen;
  };
  expect(await ask(webhook.id)).toEqual(["asked", 200]);
  expect(await ask(`${randomUUID()}x`)).toEqual([404]);
  session.close();
});
