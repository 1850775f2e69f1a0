/** Hundreds of attempts that fail in every way leave nothing behind: no slot taken, no socket open, no memory held. */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService } from "../support/service.ts";
import { attempt, clientOf, serverOf, urlOf } from "./attempt-scene.ts";
import { createForwardingWebhook } from "./forwarding.ts";
import type { Behaviour } from "./misbehaving-servers.ts";

const answer = (socket: Socket, text: string) => socket.write(`HTTP/1.1 ${text}`);

/** A server fails each request in the next of these ways. */
const WAYS: readonly ((socket: Socket) => unknown)[] = [
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.end("HTTP/1.1 20"),
  (socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
  (socket) => answer(socket, `200 OK\r\ncontent-length: 900000\r\n\r\n${"x".repeat(100_000)}`),
  (socket) => answer(socket, `200 OK\r\na: ${"x".repeat(20_000)}`),
  (socket) => answer(socket, "102 Processing\r\n\r\nHTTP/1.1 ".repeat(20)),
  (socket) => answer(socket, "500 X\r\ncontent-length: 9\r\n\r\nhalf"),
  (socket) => socket.write("-ERR unknown\r\n"),
  () => {},
  (socket) => answer(socket, "200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
];

function failing(): Behaviour {
  let count = 0;
  return { onRequest: (socket) => WAYS[count++ % WAYS.length]?.(socket) };
}

/** Bytes of the heap that are in use once all garbage is gone. */
function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  collect();
  collect();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

const openSockets = () => process.getActiveResourcesInfo().filter((name) => name.startsWith("TCPSocketWrap")).length;

test("sockets are closed and the heap stays as it was", { timeout: 60_000 }, async () => {
  const client = clientOf();
  const server = await serverOf(failing());
  const body = Buffer.alloc(20_000);
  const failMany = async (batches: number) => {
    for (let n = 0; n < batches; n++) {
      const batch = Array.from({ length: 40 }, () => attempt(client, urlOf(server), { body, timeoutMs: 300 }));
      const results = await Promise.all(batch);
      expect(results.filter(({ errorCode }) => errorCode === null).length).toBeLessThan(batch.length / 2);
    }
    await server.allClosed();
  };
  await failMany(3);
  const [heapBefore, socketsBefore] = [heapBytes(), openSockets()];
  await failMany(10);
  expect(client.stats).toEqual({ open: 0, idle: 0, waiting: 0 });
  await eventually("no socket is left", async () => openSockets() <= socketsBefore);
  // The server of the test itself remembers 400 requests of 20 kB.
  const remembered = 10 * 40 * body.length;
  expect(heapBytes() - heapBefore - remembered).toBeLessThan(4_000_000);
});

test("the worker's slots are free again", { timeout: 60_000 }, async () => {
  const concurrency = 8;
  const env = { DELIVERY_CONCURRENCY: String(concurrency), DELIVERY_TIMEOUT_MS: "500", DELIVERY_SCHEDULE: "0s" };
  // It fails as often as it likes: no circuit shields it.
  const service = await startService({ env, limits: { circuitAttemptsMin: 1_000 } });
  const server = await serverOf(failing());
  const destinations = [await startDestination(), await startDestination()];
  try {
    const bad = await createForwardingWebhook(service, urlOf(server));
    for (let n = 0; n < 5; n++) await Promise.all(Array.from({ length: 20 }, () => bad.sendEvent()));
    await eventually("nothing is owed", async () => {
      const { rows } = await service.pool.query("select 1 from delivery_queue limit 1");
      return rows.length === 0;
    });
    // Two destinations, half of the slots each, of which their organization may leave a quarter to others.
    const open = new Set<ServerResponse>();
    let peak = 0;
    for (const destination of destinations) {
      destination.behave((_arrival, response) => {
        open.add(response);
        response.once("close", () => open.delete(response));
        peak = Math.max(peak, open.size);
      });
    }
    const webhooks = await Promise.all(destinations.map(({ url }) => createForwardingWebhook(service, url)));
    const sent = webhooks.flatMap((webhook) => Array.from({ length: 3 * concurrency }, () => webhook.sendEvent()));
    await Promise.all(sent);
    await eventually("its slots are in use", async () => peak >= 0.75 * concurrency);
  } finally {
    await service.stop();
    await Promise.all(destinations.map((destination) => destination.close()));
  }
});
