/** Closing the port: what is under way ends, what only keeps a connection open does not hold it up. */
import { once } from "node:events";
import { Agent, get, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { Listener } from "../../src/edge/listener.ts";
import { eventually } from "../support/eventually.ts";

/** Far longer than a test may take: a close that waits for it has failed, milliseconds. */
const GRACE_MS = 600_000;

const limits = { ...LIMITS, prefaceTimeoutMs: GRACE_MS };

const onFailure = (error: Error) => {
  throw error;
};

/** A listener whose requests wait for the test's answer. */
async function startListener() {
  const asked: ServerResponse[] = [];
  let waiting: (() => void) | undefined;
  const listener = new Listener(
    (_request, response) => {
      asked.push(response as ServerResponse);
      waiting?.();
    },
    limits,
    onFailure,
  );
  const port = await listener.listen("127.0.0.1", 0);
  const next = async (count: number): Promise<ServerResponse> => {
    while (asked.length < count) await new Promise<void>((resolve) => (waiting = resolve));
    return asked[count - 1] as ServerResponse;
  };
  return { listener, port, next };
}

async function answered(sent: ReturnType<typeof get>): Promise<IncomingMessage> {
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  await once(response.resume(), "end");
  return response;
}

test("a request under way is answered, and its connection ends with the answer", async () => {
  const { listener, port, next } = await startListener();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sent = get({ port, agent });
  const response = await next(1);
  const closed = listener.close(GRACE_MS);
  response.end("done");
  expect((await answered(sent)).headers.connection).toBe("close");
  await closed;
  agent.destroy();
});

test("an answer whose headers have gone out ends whole, and its connection with it", async () => {
  const { listener, port, next } = await startListener();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sent = get({ port, agent });
  const response = await next(1);
  response.writeHead(200, { "content-length": 4 }).write("on");
  const arrived = once(sent, "response") as Promise<[IncomingMessage]>;
  const [incoming] = await arrived;
  const closed = listener.close(GRACE_MS);
  response.end("ly");
  expect(Buffer.concat(await incoming.toArray()).toString()).toBe("only");
  await closed;
  agent.destroy();
});

test("an idle connection, and one that has said nothing, do not hold the close", async () => {
  const { listener, port, next } = await startListener();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const sent = get({ port, agent });
  (await next(1)).end();
  await answered(sent);
  const silent = connect(port, "127.0.0.1");
  await once(silent, "connect");
  // Connections are accepted in order, so a second request means that the silent one has been.
  const second = get({ port, agent: false });
  (await next(2)).end();
  await answered(second);
  const ended = once(silent, "close");
  await listener.close(GRACE_MS);
  await ended;
  agent.destroy();
});

test("what is not done when the grace ends is cut off", async () => {
  const { listener, port, next } = await startListener();
  const sent = get({ port, agent: false });
  const failed = once(sent, "error");
  await next(1);
  await listener.close(1);
  await failed;
});

test("an HTTP/2 peer that ends without a GOAWAY leaves nothing behind", async () => {
  const { listener, port } = await startListener();
  const socket = connect(port, "127.0.0.1");
  socket.write(
    Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
  );
  await once(socket, "data");
  expect(listener.counts()).toMatchObject({ connections: 1, sessions: 1 });
  const closed = once(socket.resume(), "close");
  socket.end();
  await closed;
  await eventually("the session is gone", async () => listener.counts().connections === 0);
  expect(listener.counts()).toMatchObject({ connections: 0, sessions: 0 });
  await listener.close(GRACE_MS);
});
