/** A TLS server that stands in for the hosts at which vendors publish their keys, and records what it was asked. */
import { EventEmitter, once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { AppSeams } from "../../src/app.ts";

export interface KeyRequest {
  readonly method: string;
  /** As the service meant it, with the vendor's own host. */
  readonly url: string;
  readonly body: string;
}

export type KeyBehaviour = (request: KeyRequest, response: ServerResponse) => void;

export interface KeyVendor {
  readonly requests: KeyRequest[];
  /** Resolves once it has been asked that often. */
  asked(count: number): Promise<void>;
  /** What is answered from now on. */
  behave(behaviour: KeyBehaviour): void;
  /** Seams that send the service here. */
  readonly seams: Pick<AppSeams, "vendorKeys" | "certificateAuthorities">;
  close(): Promise<void>;
}

export const vendorFile = (name: string): string =>
  readFileSync(new URL(`vendor-keys/${name}`, import.meta.url), "utf8");
const tlsFile = (name: string): string => readFileSync(new URL(`tls/${name}`, import.meta.url), "utf8");

/** An answer of that status and body. */
export const answering =
  (status: number, body = ""): KeyBehaviour =>
  (_request, response) =>
    void response.writeHead(status).end(body);

export async function startKeyVendor(): Promise<KeyVendor> {
  const requests: KeyRequest[] = [];
  const events = new EventEmitter();
  let behaviour: KeyBehaviour = answering(404);
  const cert = tlsFile("localhost-cert.pem");
  const server = createServer({ cert, key: tlsFile("localhost-key.pem") }, (request, response) => {
    void record(request).then((asked) => {
      requests.push(asked);
      events.emit("asked");
      behaviour(asked, response);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const origin = `https://localhost:${(server.address() as AddressInfo).port}`;
  return {
    requests,
    asked: async (count) => {
      while (requests.length < count) await once(events, "asked");
    },
    behave: (next) => {
      behaviour = next;
    },
    seams: {
      certificateAuthorities: cert,
      vendorKeys: {
        urlOf: (url) => `${origin}/${encodeURIComponent(url)}`,
        roots: [vendorFile("root.pem")],
      },
    },
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function record(request: IncomingMessage): Promise<KeyRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const url = decodeURIComponent((request.url ?? "/").slice(1));
  return { method: request.method ?? "", url, body: Buffer.concat(chunks).toString() };
}
