/** The other sides of the service's bench: `plain-server.ts {"kind": …}`. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { announce } from "./server-process.ts";

export interface PlainServer {
  readonly kind: keyof typeof SERVERS;
  readonly secret?: string;
}

const SERVERS = {
  /** What no receiver can do without: read the body, compare its HMAC, answer. */
  bareReceiver: ({ secret = "" }: PlainServer): RequestListener => {
    const answer = JSON.stringify({ received: true, eventId: "0".repeat(36), duplicate: false });
    return (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const expected = `sha256=${createHmac("sha256", secret).update(Buffer.concat(chunks)).digest("hex")}`;
        const given = String(request.headers["x-hub-signature-256"]);
        const valid = given.length === expected.length && timingSafeEqual(Buffer.from(given), Buffer.from(expected));
        response.writeHead(valid ? 200 : 401, { "content-type": "application/json", "content-length": answer.length });
        response.end(answer);
      });
    };
  },
  /** A destination that takes everything. */
  destination: (): RequestListener => (request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "content-length": 2 }).end("ok"));
  },
  /** A destination that accepts everything and never answers. */
  silent: (): RequestListener => (request) => {
    request.resume();
  },
} satisfies Record<string, (setting: PlainServer) => RequestListener>;

const setting = JSON.parse(process.argv[2] ?? "") as PlainServer;
const server = createServer({ keepAliveTimeout: 60_000 }, SERVERS[setting.kind](setting));
server.listen(0, "127.0.0.1", () => announce((server.address() as AddressInfo).port));
