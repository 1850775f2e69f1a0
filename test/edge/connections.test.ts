/** How many connections one peer may have, and who is not counted. */
import { once } from "node:events";
import { BlockList, connect, type Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { LIMITS } from "../../src/config.ts";
import { Listener } from "../../src/edge/listener.ts";

async function startListener(trustedPeers: BlockList): Promise<{ listener: Listener; port: number }> {
  const limits = { ...LIMITS, connectionsPerPeerMax: 3 };
  const unexpected = (error: Error) => expect.unreachable(String(error));
  const listener = new Listener((_request, response) => void response.end("served"), limits, unexpected, {
    trustedPeers,
  });
  const port = await listener.listen("0.0.0.0", 0);
  onTestFinished(async () => void (await listener.close(0)));
  return { listener, port };
}

/** Asks on a connection of its own from an address of this machine, which stays open; tells whether it was served. */
async function ask(port: number, localAddress: string): Promise<{ socket: Socket; isServed: boolean }> {
  const socket = connect({ port, host: "127.0.0.1", localAddress });
  const ended = new Promise<false>((resolve) => {
    socket.once("close", () => resolve(false)).on("error", () => {});
  });
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  const isServed = await Promise.race([once(socket, "data").then(() => true), ended]).catch(() => false);
  onTestFinished(() => void socket.destroy());
  return { socket, isServed };
}

test("a peer has so many connections and no more, other peers theirs; one that ends makes room", async () => {
  const { listener, port } = await startListener(new BlockList());
  const first = await ask(port, "127.0.0.2");
  const served = [first.isServed];
  for (let index = 0; index < 4; index += 1) served.push((await ask(port, "127.0.0.2")).isServed);
  expect(served).toEqual([true, true, true, false, false]);
  expect((await ask(port, "127.0.0.3")).isServed).toBe(true);
  expect(listener.counts().connections).toBe(4);
  first.socket.end();
  await once(first.socket, "close");
  expect((await ask(port, "127.0.0.2")).isServed).toBe(true);
});

test("a trusted proxy speaks for many, and is not counted", async () => {
  const proxies = new BlockList();
  proxies.addSubnet("127.0.0.4", 32);
  const { listener, port } = await startListener(proxies);
  for (let index = 0; index < 10; index += 1) expect((await ask(port, "127.0.0.4")).isServed).toBe(true);
  expect(listener.counts().connections).toBe(10);
});
