/** Speed of the edge: gRPC unary and REST GET, each beside what it could be at most and what the stock adapter does. */
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect } from "node:http2";
import { buffer } from "node:stream/consumers";
import { create, toBinary } from "@bufbuild/protobuf";
import { GetWebhookRequestSchema } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import type { EdgeServer } from "./edge-server.ts";
import { headerBlocks } from "./http2-frames.ts";
import type { Sample } from "./load.ts";
import { loadGrpc } from "./load-grpc.ts";
import { loadHttp1 } from "./load-http1.ts";
import { KEY, WEBHOOK_ID } from "./memory-service.ts";
import { measure, type Subject } from "./rounds.ts";
import { pinLoad, ServerProcess } from "./server-process.ts";

const CONNECTIONS = 4;
const STREAMS = 16;
const HTTP1_CONNECTIONS = 64;

/** The same for every server, because it stands in the answers. */
const AUTHORITY = "127.0.0.1:8080";
const RPC_PATH = "/alumia.webhooks.v1.WebhookService/GetWebhook";
const REST_PATH = `/api/v1/webhooks/${WEBHOOK_ID}`;
const RPC_HEADERS = {
  ":method": "POST",
  ":scheme": "http",
  ":path": RPC_PATH,
  ":authority": AUTHORITY,
  authorization: `Bearer ${KEY}`,
  "content-type": "application/grpc",
  te: "trailers",
  "user-agent": "grpc-node-js/1.14.7",
  "grpc-accept-encoding": "identity,deflate,gzip",
};
const REST_REQUEST = Buffer.from(
  `GET ${REST_PATH} HTTP/1.1\r\nhost: ${AUTHORITY}\r\nauthorization: Bearer ${KEY}\r\naccept: application/json\r\nuser-agent: bench/1\r\n\r\n`,
);

export async function edgeBench(): Promise<void> {
  if (!pinLoad()) process.stdout.write("servers and load share their cores: no taskset here\n");
  const edge = await start({ kind: "edge" });
  const grpcAnswer = await callGrpc(edge.port);
  const rest = await getRest(edge.port);
  const servers = [
    edge,
    await start({ kind: "connectNode" }),
    await start({ kind: "bareHttp2", ...grpcAnswer }),
    await start({ kind: "bareHttp1", ...rest }),
  ] as const;
  try {
    await measure("gRPC unary: GetWebhook", [
      ["this edge", grpcSubject(edge, grpcAnswer)],
      ["stock connect-node", grpcSubject(servers[1], grpcAnswer)],
      ["bare http2, constant answer", grpcSubject(servers[2], grpcAnswer)],
    ]);
    await measure("REST: GET /api/v1/webhooks/{id}", [
      ["this edge", restSubject(edge, rest)],
      ["bare node:http, constant answer", restSubject(servers[3], rest)],
    ]);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}

const start = (setting: EdgeServer) => ServerProcess.start(`${import.meta.dirname}/edge-server.ts`, setting);

/** What an answer is made of, so that a bare server can send the same. */
interface Answer {
  /** Base64. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

function requestEnvelope(): Buffer {
  const message = toBinary(GetWebhookRequestSchema, create(GetWebhookRequestSchema, { id: WEBHOOK_ID }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** One call with Node's own client. Throws unless it succeeds. */
async function callGrpc(port: number): Promise<Answer> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const stream = session.request(RPC_HEADERS);
    let status: unknown;
    let headers = {};
    stream.once("response", ({ ":status": _status, date: _date, ...rest }) => (headers = rest));
    stream.once("trailers", (trailers) => (status = trailers["grpc-status"]));
    stream.end(requestEnvelope());
    const body = await buffer(stream);
    if (status !== "0") throw new Error(`grpc-status ${status}`);
    return { body: body.toString("base64"), headers };
  } finally {
    session.close();
  }
}

async function getRest(port: number): Promise<Answer> {
  const headers = { host: AUTHORITY, authorization: `Bearer ${KEY}` };
  const [answer] = (await once(get({ port, path: REST_PATH, headers }), "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) throw new Error(`HTTP ${answer.statusCode}`);
  const body = (await buffer(answer)).toString("base64");
  return { body, headers: { "content-type": "application/json", "x-content-type-options": "nosniff" } };
}

const bytesOf = ({ body }: Answer) => Buffer.byteLength(body, "base64");

const grpcSubject = (server: ServerProcess, answer: Answer): Subject => ({
  server,
  run: (durationMs): Promise<Sample> =>
    loadGrpc({
      port: server.port,
      awake: true,
      connections: CONNECTIONS,
      streams: STREAMS,
      durationMs,
      headers: headerBlocks(RPC_HEADERS),
      request: requestEnvelope(),
      answerBytes: bytesOf(answer),
    }),
});

const restSubject = (server: ServerProcess, answer: Answer): Subject => ({
  server,
  run: (durationMs): Promise<Sample> =>
    loadHttp1({
      port: server.port,
      awake: true,
      connections: HTTP1_CONNECTIONS,
      durationMs,
      request: REST_REQUEST,
      answerBodyBytes: bytesOf(answer),
    }),
});
