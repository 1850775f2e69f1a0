/** `listen`: a small destination on this machine that prints what is forwarded to it, for trying things out. */
import { createHmac } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { sameBytes } from "../security/constant-time.ts";
import { readOptions, UsageError } from "./usage.ts";

const BODY_BYTES_MAX = 64 * 1024 * 1024;
const SHOWN_BYTES_MAX = 4 * 1024;

export async function listen(args: string[]): Promise<void> {
  const { port = "9000", secret } = readOptions(args, { port: "text", secret: "text" });
  const number = Number(port);
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw new UsageError("--port takes a number from 0 to 65535");
  if (secret !== undefined && !/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(String(secret))) {
    throw new UsageError("--secret takes the webhook's forwardSecret: whsec_ followed by base64");
  }
  const server = createServer((request, response) => {
    read(request).then(
      (body) => {
        process.stdout.write(describe(request, body, typeof secret === "string" ? secret : undefined));
        response.writeHead(200, { "content-type": "text/plain" }).end("thanks\n");
      },
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? new UsageError(`--port ${number} is in use; choose another`) : error);
    });
    server.listen(number, "127.0.0.1", resolve);
  });
  const address = server.address();
  const chosen = typeof address === "object" && address ? address.port : number;
  process.stdout.write(
    `Listening on http://127.0.0.1:${chosen} (a service started with npm run dev may deliver here)\n`,
  );
  await new Promise<void>((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  server.closeAllConnections();
  server.close();
}

async function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_BYTES_MAX) throw new Error("too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function describe(request: IncomingMessage, body: Buffer, secret: string | undefined): string {
  const { headers } = request;
  const verdict =
    secret === undefined ? "not checked (pass --secret)" : signatureHolds(headers, body, secret) ? "valid" : "INVALID";
  const shown = body.subarray(0, SHOWN_BYTES_MAX).toString("utf8");
  return [
    `\n${new Date().toISOString()} ${request.method} ${request.url} (${body.length} bytes)`,
    `  event      ${headers["webhook-id"] ?? "-"}  type ${headers["alumia-event-type"] || "-"}  attempt ${headers["alumia-attempt"] ?? "-"}`,
    `  signature  ${verdict}`,
    `  ${shown}${body.length > SHOWN_BYTES_MAX ? " …" : ""}\n`,
  ].join("\n");
}

/** Standard Webhooks, as a consumer would check it. */
function signatureHolds(headers: IncomingMessage["headers"], body: Buffer, secret: string): boolean {
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const head = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`;
  const expected = createHmac("sha256", key).update(head).update(body).digest();
  return String(headers["webhook-signature"] ?? "")
    .split(" ")
    .some((entry) => {
      const given = Buffer.from(entry.replace(/^v1,/, ""), "base64");
      return entry.startsWith("v1,") && sameBytes(given, expected);
    });
}
