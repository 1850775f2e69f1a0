/** Requests of our own: whole answers or the reason why there is none, under the bounds and the guard of deliveries. */
import { afterEach, describe, expect, test } from "vitest";
import { type Fetched, type FetchOptions, fetchBounded } from "../../src/outbound/fetch.ts";
import type { HttpClient } from "../../src/outbound/http-client.ts";
import { clientOf, reply, serverOf, urlOf } from "../delivery/attempt-scene.ts";
import type { Behaviour } from "../delivery/misbehaving-servers.ts";
import { policyOf } from "../security/destination-policies.ts";

const clients: HttpClient[] = [];
afterEach(() => {
  for (const client of clients.splice(0))
    expect([client.stats.open - client.stats.idle, client.stats.waiting]).toEqual([0, 0]);
});

function fetchFrom(url: string, options: Partial<FetchOptions> = {}, client = clientOf()): Promise<Fetched> {
  clients.push(client);
  return fetchBounded(client, url, { timeoutMs: 10_000, bodyBytesMax: 8, peer: "The key server", ...options });
}

describe("fetchBounded", () => {
  test("a GET carries no body, and answers with status, headers and body", async () => {
    const server = await serverOf(reply("200 OK\r\nX-A: 1\r\ncontent-length: 4", "keys"));
    const fetched = await fetchFrom(urlOf(server, "/keys?v=1"), { headers: [["accept", "application/json"]] });
    const headers = [
      ["X-A", "1"],
      ["content-length", "4"],
    ];
    expect(fetched).toEqual({ ok: true, statusCode: 200, headers, body: Buffer.from("keys") });
    expect(server.requests).toEqual([
      expect.stringMatching(
        /^GET \/keys\?v=1 HTTP\/1\.1\r\nhost: 127\.0\.0\.1:\d+\r\nconnection: keep-alive\r\nuser-agent: Alumia-Webhooks\/\S+\r\naccept: application\/json\r\n\r\n$/,
      ),
    ]);
  });

  test("a POST carries its body", async () => {
    const server = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    await fetchFrom(urlOf(server), { method: "POST", body: Buffer.from("a=b") });
    expect(server.requests[0]).toMatch(/^POST \/hook HTTP\/1\.1\r\n.*\r\ncontent-length: 3\r\n\r\na=b$/s);
  });

  test("any status is an answer, and a redirect is not followed", async () => {
    const elsewhere = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const server = await serverOf(reply(`302 Found\r\nlocation: ${urlOf(elsewhere)}\r\ncontent-length: 0`));
    expect(await fetchFrom(urlOf(server))).toMatchObject({ ok: true, statusCode: 302 });
    expect(elsewhere.connections()).toBe(0);
  });

  test("a body exactly as long as the bound is taken", async () => {
    const server = await serverOf(reply("200 OK\r\ncontent-length: 8", "12345678"));
    expect(await fetchFrom(urlOf(server))).toMatchObject({ ok: true, body: Buffer.from("12345678") });
  });

  test.each<[string, Behaviour, Partial<FetchOptions>, string, string]>([
    [
      "a longer body",
      reply("200 OK\r\ncontent-length: 9", "123456789"),
      {},
      "protocol",
      "The key server's answer is longer than 8 bytes.",
    ],
    [
      "half a body",
      { onRequest: (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhalf") },
      {},
      "reset",
      "The key server closed the connection before the response was complete.",
    ],
    ["silence", {}, { timeoutMs: 100 }, "timeout", "The exchange was not complete within 100 ms."],
    [
      "no HTTP",
      { onRequest: (socket) => socket.end("hello\r\n") },
      {},
      "protocol",
      "The key server's answer is not valid HTTP/1.1.",
    ],
    [
      "a header of two lines",
      {},
      { headers: [["x-a", "b\r\nc: d"]] },
      "invalid_request",
      "The request has a header that cannot be sent.",
    ],
    ["a signal that has fired", {}, { signal: AbortSignal.abort() }, "aborted", "The attempt was given up."],
  ])("%s is no answer", async (_what, behaviour, options, code, message) => {
    const server = await serverOf(behaviour);
    expect(await fetchFrom(urlOf(server), options)).toEqual({ ok: false, failure: { code, message } });
    await server.allClosed();
  });

  test("what deliveries may not reach, nothing else of ours reaches", async () => {
    const inner = await serverOf(reply("200 OK\r\ncontent-length: 0"));
    const guarded = () =>
      clientOf({
        policy: policyOf(),
        resolver: (_name, _options, found) => found(null, [{ address: "127.0.0.1", family: 4 }]),
      });
    const failures = await Promise.all(
      [urlOf(inner), `http://keys.example.com:${inner.port}/`, "file:///etc/passwd"].map((url) =>
        fetchFrom(url, {}, guarded()),
      ),
    );
    expect(failures.map((fetched) => fetched.ok === false && fetched.failure)).toEqual([
      { code: "blocked_address", message: "The key server's URL must have a public address." },
      { code: "blocked_address", message: "The key server has an address that deliveries may not reach." },
      { code: "invalid_url", message: "The key server's URL must be an http or https URL." },
    ]);
    expect(inner.connections()).toBe(0);
  });
});
