/** What tests of single attempts share: servers that are closed and clients that are checked after each test. */
import { afterEach } from "vitest";
import { type AttemptInput, type AttemptResult, performAttempt } from "../../src/delivery/attempt.ts";
import { OAuth2Tokens } from "../../src/delivery/oauth2-tokens.ts";
import { HttpClient, type HttpClientOptions } from "../../src/outbound/http-client.ts";
import { policyOf } from "../security/destination-policies.ts";
import { type Behaviour, type CountingServer, type ListenOptions, listen } from "./misbehaving-servers.ts";

export const NOW_MS = Date.UTC(2026, 10, 23, 12, 0, 0);
export const BODY_BYTES_MAX = 16;
const OAUTH2_LIMITS = { timeoutMs: 5_000, answerBytesMax: 1_024, destinationsMax: 10, restMs: 1_000 };
const never = new AbortController().signal;

const servers: CountingServer[] = [];
const clients: HttpClient[] = [];

export async function serverOf(behaviour: Behaviour, options?: ListenOptions): Promise<CountingServer> {
  const server = await listen(behaviour, options);
  servers.push(server);
  return server;
}

export function clientOf(options: Partial<HttpClientOptions> = {}): HttpClient {
  const client = new HttpClient({ policy: policyOf(["127.0.0.0/8"]), ...options });
  clients.push(client);
  return client;
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((each) => each.close()));
  // After the client has closed, no server may be left with a connection of ours.
  await Promise.all(servers.map((each) => each.allClosed()));
  await Promise.all(servers.splice(0).map((each) => each.close()));
});

/** An attempt that has time enough, unless the input says otherwise. */
export function attempt(by: HttpClient, url: string, input: Partial<AttemptInput> = {}): Promise<AttemptResult> {
  const defaults = {
    headers: [["content-type", "application/json"]] as const,
    body: Buffer.from('{"a":1}'),
    timeoutMs: 10_000,
    responseBodyBytesMax: BODY_BYTES_MAX,
    access: null,
    signal: never,
  };
  const clock = { now: () => NOW_MS };
  const tokens = new OAuth2Tokens({ client: by, clock, limits: OAUTH2_LIMITS });
  return performAttempt({ url, ...defaults, ...input }, { client: by, clock, tokens });
}

export const urlOf = (server: CountingServer, path = "/hook") => `http://127.0.0.1:${server.port}${path}`;

/** Answers each request, and keeps the connection. */
export function reply(head: string, body = ""): Behaviour {
  return { onRequest: (socket) => socket.write(`HTTP/1.1 ${head}\r\n\r\n${body}`) };
}
