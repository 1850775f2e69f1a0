/** An OAuth2 authorization server on this machine (RFC 6749 §4.4) that checks its clients and remembers what it issued. */
import { randomBytes } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface TokenRequest {
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export interface TokenServer {
  readonly url: string;
  readonly requests: readonly TokenRequest[];
  /** Every token in the order of their issue. */
  readonly issued: readonly string[];
  /** How later requests of a client that is known are answered; a new token at first. */
  behave(behaviour: (response: ServerResponse, issue: () => void) => void): void;
  close(): Promise<void>;
}

/** Issues tokens to the client of this id and secret. */
export async function startTokenServer(options: {
  readonly clientId: string;
  readonly clientSecret: string;
  /** Seconds; left out of the answer where undefined. */
  readonly expiresIn?: number;
}): Promise<TokenServer> {
  const requests: TokenRequest[] = [];
  const issued: string[] = [];
  let behaviour = (_response: ServerResponse, issue: () => void) => issue();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    requests.push({ headers: request.headers, form });
    const answer = (status: number, body: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    const known = clientOf(request.headers.authorization, form);
    if (request.method !== "POST" || form.get("grant_type") !== "client_credentials") {
      answer(400, { error: "unsupported_grant_type" });
    } else if (known?.id !== options.clientId || known.secret !== options.clientSecret) {
      answer(401, { error: "invalid_client", error_description: `no client with ${form}` });
    } else {
      behaviour(response, () => {
        const token = `tok_${randomBytes(12).toString("hex")}`;
        issued.push(token);
        answer(200, { access_token: token, token_type: "Bearer", expires_in: options.expiresIn });
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth/token`,
    requests,
    issued,
    behave: (next) => {
      behaviour = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** The client by either way of RFC 6749 §2.3.1, never both. */
function clientOf(
  authorization: string | undefined,
  form: URLSearchParams,
): { id: string; secret: string } | undefined {
  const [inBody, inHeader] = [form.has("client_secret"), authorization !== undefined];
  if (inBody === inHeader) return undefined;
  if (inBody) return { id: form.get("client_id") ?? "", secret: form.get("client_secret") ?? "" };
  const pair = Buffer.from(authorization?.replace(/^Basic /, "") ?? "", "base64").toString();
  const [id = "", secret = ""] = pair.split(":").map((part) => decodeURIComponent(part.replaceAll("+", " ")));
  return { id, secret };
}
