/** The budget of bodies in memory, shared by all receives: what is over it is refused, and every end of a request gives its bytes back. */
import { createServer, type Server } from "node:http";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type Http2Server,
} from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, type Mock, test, vi } from "vitest";
import { LIMITS } from "../../src/config.ts";
import type { LinearReceiver } from "../../src/core/linear-receiver.ts";
import type { Receiver } from "../../src/core/receive.ts";
import { noSuchWebhook } from "../../src/core/webhook-settings.ts";
import { BodyBudget, createMeter } from "../../src/edge/body-budget.ts";
import type { Exchange, HttpRequest, RequestHandler } from "../../src/edge/exchange.ts";
import { createReceiveHandler } from "../../src/edge/receive-handler.ts";
import { Watchdog } from "../../src/edge/watchdog.ts";
import { createLogger } from "../../src/observe/logger.ts";

const BODY_MAX = 60_000;
const BUDGET = 100_000;
/** A body that was read whole is answered 404. */
const PATH = "/api/v1/webhooks/receive/0198f3a1-0000-7000-8000-000000000000";

let receiver: Pick<Receiver, "enter" | "admit" | "refused" | "leaveTrace"> & { receive: Mock };
let budget: BodyBudget;
/** Never started: nothing here is too slow. */
const watchdog = new Watchdog(LIMITS);
let server: Server;
let http2: Http2Server;
let url: string;
let onRequest: (request: HttpRequest) => void = () => {};

beforeAll(async () => {
  receiver = {
    enter: () => () => {},
    admit: () => undefined,
    receive: vi.fn().mockRejectedValue(noSuchWebhook()),
    refused: () => {},
    leaveTrace: async () => {},
  };
  const logger = createLogger("silent");
  budget = new BodyBudget({ bodyBytesInMemoryMax: BUDGET, bodyClientShare: 1 });
  const handle = createReceiveHandler({
    receiver: receiver as unknown as Receiver,
    linear: {} as LinearReceiver,
    logger,
    publicUrl: undefined,
    bodyBytesMax: BODY_MAX,
    addressOf: () => "192.0.2.1",
    meterBody: () => createMeter(budget.open("a"), watchdog),
  });
  const listener: RequestHandler = (request, response) => {
    request.on("error", () => {});
    handle({ request, response } as Exchange, request.url ?? "");
    onRequest(request);
  };
  server = createServer(listener);
  http2 = createHttp2Server(listener);
  for (const one of [server, http2]) await new Promise<void>((resolve) => one.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PATH}`;
});
afterAll(async () => {
  server?.closeAllConnections();
  for (const one of [server, http2]) await new Promise((resolve) => one.close(resolve));
});

const sendWhole = async (bytes: number) => await fetch(url, { method: "POST", body: new Uint8Array(bytes) });

/** Tells when the server has read `bytes` of the next request's body, and when that request is over. */
function watchNext(bytes: number): { seen: Promise<void>; closed: Promise<void> } {
  const seen = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  onRequest = (request) => {
    onRequest = () => {};
    let read = 0;
    request.on("data", (chunk: Buffer) => {
      read += chunk.length;
      if (read >= bytes) seen.resolve();
    });
    request.on("close", () => closed.resolve());
  };
  return { seen: seen.promise, closed: closed.promise };
}

/** A request of which `bytes` have been read by the server, and whose end has not come. */
async function sendPart(bytes: number, declared: number): Promise<{ socket: Socket; closed: Promise<void> }> {
  const { seen, closed } = watchNext(bytes);
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${declared}\r\n\r\n`);
  socket.write(Buffer.alloc(bytes));
  await seen;
  return { socket, closed };
}

test("what does not fit is answered 503 with Retry-After; what fits is read, and afterwards there is room again", async () => {
  const { socket } = await sendPart(BODY_MAX - 1, BODY_MAX);
  const refused = await sendWhole(BODY_MAX);
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  expect(await refused.json()).toMatchObject({ error: { code: "SERVICE_UNAVAILABLE" } });
  expect((await sendWhole(BUDGET - BODY_MAX)).status).toBe(404);

  const answered = new Promise<string>((resolve) => socket.once("data", (data) => resolve(data.toString())));
  socket.write("x");
  expect(await answered).toMatch(/^HTTP\/1\.1 404 /);
  socket.destroy();
  expect((await sendWhole(BODY_MAX)).status).toBe(404);
});

test("senders that go away in the middle of a body leave nothing behind", async () => {
  for (let n = 0; n < 20; n++) {
    const { socket, closed } = await sendPart(BODY_MAX - 1, BODY_MAX);
    socket.destroy();
    await closed;
  }
  expect((await sendWhole(BODY_MAX)).status).toBe(404);
});

describe("an HTTP/2 stream that ends in the middle of a body is no request, and leaves nothing behind", () => {
  const ends: [name: string, end: (stream: ClientHttp2Stream, session: ClientHttp2Session) => void][] = [
    ["reset without an error", (stream) => stream.destroy()],
    ["reset with an error", (stream) => stream.destroy(new Error("gone"))],
    ["the connection ends", (_stream, session) => session.destroy()],
  ];

  test.each(ends)("%s", async (_name, end) => {
    receiver.receive.mockClear();
    for (let n = 0; n < 5; n++) {
      const session = connectHttp2(`http://127.0.0.1:${(http2.address() as AddressInfo).port}`);
      session.on("error", () => {});
      const { seen, closed } = watchNext(BODY_MAX - 1);
      const stream = session.request({ ":method": "POST", ":path": PATH });
      stream.on("error", () => {});
      stream.write(Buffer.alloc(BODY_MAX - 1));
      await seen;
      end(stream, session);
      await closed;
      session.destroy();
    }
    expect(receiver.receive).not.toHaveBeenCalled();
    expect((await sendWhole(BODY_MAX)).status).toBe(404);
  });
});

test("refused bodies leave nothing behind", async () => {
  for (let n = 0; n < 20; n++) expect((await sendWhole(BODY_MAX + 1)).status).toBe(413);
  const { socket, closed } = await sendPart(BODY_MAX - 1, BODY_MAX);
  for (let n = 0; n < 20; n++) expect((await sendWhole(BODY_MAX)).status).toBe(503);
  socket.destroy();
  await closed;
  for (let n = 0; n < 20; n++) expect((await sendWhole(BODY_MAX)).status).toBe(404);
});
