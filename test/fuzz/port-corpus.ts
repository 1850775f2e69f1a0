/** Well-formed requests of every protocol, as the bytes of either version of HTTP: what the port's fuzz begins with. */
import { createHmac } from "node:crypto";
import { gzipSync } from "node:zlib";
import { envelope } from "./raw-calls.ts";

export interface Target {
  readonly port: number;
  readonly key: string;
  /** Path and secret of a webhook. */
  readonly receivePath: string;
  readonly secret: string;
}

export interface CorpusRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

const RPC = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
const STREAM = "/alumia.webhooks.v1.EventService/GetEventBody";
const NOBODY = "00000000-0000-7000-8000-000000000000";

export function corpusOf({ key, receivePath, secret }: Target): readonly CorpusRequest[] {
  const auth = ["authorization", `Bearer ${key}`] as const;
  const json = ["content-type", "application/json"] as const;
  const event = Buffer.from('{"type":"order.paid","id":"evt_1"}');
  const signature = `sha256=${createHmac("sha256", secret).update(event).digest("hex")}`;
  const post = (path: string, body: Buffer | string, ...headers: (readonly [string, string])[]): CorpusRequest => ({
    method: "POST",
    path,
    headers: [auth, ...headers],
    body: Buffer.from(body),
  });
  const get = (path: string, method = "GET"): CorpusRequest => ({
    method,
    path,
    headers: [auth],
    body: Buffer.alloc(0),
  });
  const id = envelope(Buffer.concat([Buffer.of(0x0a, NOBODY.length), Buffer.from(NOBODY)]));
  const te = ["te", "trailers"] as const;
  return [
    get("/api/v1/webhooks?limit=1&cursor=W10"),
    get(`/api/v1/webhooks/${NOBODY}`),
    get("/healthz", "HEAD"),
    get("/api/v1/webhooks", "OPTIONS"),
    get(`${RPC}?connect=v1&encoding=json&base64=1&message=e30`),
    post("/api/v1/webhooks/verify", '{"source":"stripe","secret":"x","payload":"{}","headers":{"a":"b"}}', json),
    post("/api/v1/webhooks/verify", gzipSync('{"webhookId":"x"}'), json, ["content-encoding", "gzip"]),
    { ...post(`/api/v1/webhooks/${NOBODY}`, '{"name":"n","events":["a.*"]}', json), method: "PATCH" },
    post(receivePath, event, json, ["x-hub-signature-256", signature]),
    post(receivePath, event, ["webhook-signature", "v1,AAAA"], ["webhook-id", "1"], ["webhook-timestamp", "1"]),
    post(RPC, '{"limit":1}', json, ["connect-protocol-version", "1"], ["connect-timeout-ms", "5000"]),
    post(RPC, Buffer.of(8, 1), ["content-type", "application/proto"]),
    post(STREAM, envelope(Buffer.from(`{"id":"${NOBODY}"}`)), ["content-type", "application/connect+json"]),
    post(RPC, envelope(Buffer.of(8, 1)), ["content-type", "application/grpc"], te, ["grpc-timeout", "5S"]),
    post(RPC, envelope(gzipSync(Buffer.of(8, 1)), 1), ["content-type", "application/grpc+proto"], te, [
      "grpc-encoding",
      "gzip",
    ]),
    post(STREAM, id, ["content-type", "application/grpc"], te),
    post(STREAM, id, ["content-type", "application/grpc-web+proto"]),
    post(RPC, envelope(Buffer.of(8, 1)).toString("base64"), ["content-type", "application/grpc-web-text"]),
    post("/no.such.Service/Method", id, ["content-type", "application/grpc"], te),
  ];
}

/** The request in HTTP/1.1; some with their body in chunks. */
export function asHttp1({ method, path, headers, body }: CorpusRequest, chunked: boolean): Buffer {
  const length = chunked ? "transfer-encoding: chunked" : `content-length: ${body.length}`;
  const lines = [`${method} ${path} HTTP/1.1`, "host: localhost", ...headers.map((pair) => pair.join(": ")), length];
  const head = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  if (!chunked) return Buffer.concat([head, body]);
  const chunk = body.length === 0 ? "" : `${body.length.toString(16)}\r\n${body.toString("latin1")}\r\n`;
  return Buffer.concat([head, Buffer.from(`${chunk}0\r\n\r\n`, "latin1")]);
}

/** The request's header list in HTTP/2. */
export function asHttp2({ method, path, headers, body }: CorpusRequest) {
  const pseudo = [
    [":method", method],
    [":path", path],
    [":scheme", "http"],
    [":authority", "localhost"],
  ] as const;
  return { headers: [...pseudo, ...headers], body };
}
