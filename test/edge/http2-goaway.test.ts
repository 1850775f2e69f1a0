/** A peer that says goodbye with a stream open and then breaks the protocol: Node reads no further, and never ends it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { encodeFrame, encodeHeaders, type Frame, PREFACE } from "../fuzz/frames.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { open } from "./wire.ts";

let service: TestService;

beforeAll(async () => {
  service = await startService({
    limits: { http2PingIntervalMs: 200, http2PingTimeoutMs: 200, sweepIntervalMs: 50 },
  });
});
afterAll(async () => {
  await service?.stop();
});

const frame = (type: number, flags: number, stream: number, payload: Buffer): Frame => ({
  type,
  flags,
  stream,
  payload,
});

const request = encodeHeaders([
  [":method", "POST"],
  [":path", "/api/v1/webhooks/receive/00000000-0000-7000-8000-000000000000"],
  [":scheme", "http"],
  [":authority", "localhost"],
]);
const SETTINGS = frame(4, 0, 0, Buffer.alloc(0));
const OPEN_STREAM = frame(1, 4, 1, request);
const GOAWAY = frame(7, 0, 0, Buffer.alloc(8));

test.each<[name: string, broken: Frame]>([
  ["SETTINGS of half an entry", frame(4, 0, 0, Buffer.alloc(5))],
  ["a frame that is too large", frame(0, 1, 1, Buffer.alloc(17_000))],
])("the session is given up: GOAWAY, then %s", async (_name, broken) => {
  const socket = await open(service.port);
  socket.on("error", () => {}).resume();
  socket.write(Buffer.concat([PREFACE, ...[SETTINGS, OPEN_STREAM, GOAWAY, broken].map(encodeFrame)]));
  await eventually("the session begins", async () => service.app.counts().sessions > 0);
  socket.destroy();
  await eventually("nothing of it is left", async () => {
    const { sessions, streams } = service.app.counts();
    return sessions === 0 && streams === 0;
  });
  expect((await service.api.get("/webhooks")).status).toBe(200);
});
