/** What HTTP/2 clients can do to the port, while a well-behaved one goes on being served. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { LIMITS } from "../../../src/config.ts";
import { type AbusedService, startAbusedService } from "../../support/abuse/service.ts";
import { hubSignature, send } from "../../support/api.ts";
import type { Seen } from "./http2-attacks.ts";

/** A key that has to be looked up, and is none. */
const NOBODYS_KEY = `alm_live_${"0".repeat(32)}`;
const ATTACKS = new URL("./http2-attacks.ts", import.meta.url);
/** What the service may grow by, under any abuse here, MiB. */
const HEAP_MIB_MAX = 512;
/** Error codes (RFC 9113 §7). */
const NO_ERROR = 0;
const INTERNAL_ERROR = 2;
const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;

let abused: AbusedService;
let bodyPath: string;

beforeAll(async () => {
  abused = await startAbusedService({
    sweepIntervalMs: 100,
    http2IdleTimeoutMs: 500,
    http2PingIntervalMs: 300,
    http2PingTimeoutMs: 2_000,
    answerStallMs: 500,
    answerBytesPerSecondMin: 64 * 1024 * 1024,
  });
  const { receiveUrl, secret } = (await abused.service.api.post("/webhooks", { name: "large" })).body;
  const body = Buffer.alloc(96 * 1024, "x");
  const { eventId } = (await send(receiveUrl, body, hubSignature(secret, body))).body;
  bodyPath = `/api/v1/webhooks/events/${eventId}/body`;
});
afterAll(async () => await abused?.end());

async function run(title: string, name: string, args: object): Promise<Seen> {
  const attack = { module: ATTACKS, name, args: { port: abused.service.port, key: NOBODYS_KEY, ...args } };
  const { report, memory } = await abused.harness.run<Seen>(title, attack);
  expect(memory.heapMiB).toBeLessThan(HEAP_MIB_MAX);
  return report;
}

/** Each, once it goes beyond its bound, is told why; nobody waits for the rest of the flood. */
test.each<[string, string, number, number, object]>([
  ["PING", "floodPings", LIMITS.http2PingBurst, ENHANCE_YOUR_CALM, {}],
  ["SETTINGS", "floodSettings", LIMITS.http2SettingsBurst, ENHANCE_YOUR_CALM, {}],
  ["requests that it resets", "resetRapidly", LIMITS.http2ResetBurst, INTERNAL_ERROR, { path: "/healthz" }],
])("one %s too many ends the connection, with a GOAWAY", async (what, name, burst, code, args) => {
  const seen = await run(`${what}, just beyond the bound`, name, {
    connections: 1,
    frames: burst + 1,
    waits: true,
    ...args,
  });
  expect(seen.goaways).toHaveProperty(String(code));
});

test.each<[string, string, object]>([
  ["PING", "floodPings", {}],
  ["SETTINGS", "floodSettings", {}],
  ["requests that it resets", "resetRapidly", { path: "/api/v1/webhooks" }],
  ["requests that it makes us reset", "haveReset", { path: "/api/v1/webhooks" }],
  ["CONTINUATION", "continueForever", {}],
  ["small blocks of large headers", "bombHeaders", { frames: 5_000 }],
])("a flood of %s ends its connection", async (what, name, args) => {
  const seen = await run(`${what}, 10 connections`, name, { connections: 10, frames: 100_000, waits: true, ...args });
  expect(seen.opened).toBe(10);
});

/** What nghttp2 takes without telling Node costs us less than its sender. */
test.each<[string, string]>([
  ["PRIORITY", "floodPriorities"],
  ["WINDOW_UPDATE", "floodWindowUpdates"],
  ["empty DATA", "floodEmptyData"],
])("a flood of %s harms nobody", async (what, name) => {
  const seen = await run(`${what}, 10 connections`, name, { connections: 10, frames: 100_000 });
  expect(seen.opened).toBe(10);
});

test("answers that a window of nothing holds back are reset, and released", async () => {
  const seen = await run("stalled windows, 10 × 40 answers", "stallWindows", {
    connections: 10,
    streams: 40,
    key: abused.service.key,
    path: bodyPath,
  });
  expect(seen.resets).toEqual({ [CANCEL]: 400 });
});

test("idle sessions are told to go, and closed", async () => {
  const seen = await run("500 idle sessions", "stayIdle", { connections: 500 });
  expect(seen).toMatchObject({ opened: 500, resets: {} });
  expect(Object.keys(seen.goaways)).toEqual([String(NO_ERROR)]);
});

test("sessions that leave a PING without an answer are closed", async () => {
  const seen = await run("200 sessions that play dead", "playDead", { connections: 200 });
  expect(seen.opened).toBe(200);
});
