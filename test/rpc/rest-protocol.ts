/** Calls made over REST by Node's own HTTP clients. */
import { once } from "node:events";
import * as http from "node:http";
import * as http2 from "node:http2";
import { type DescMethod, fromJson, getOption, type JsonValue, type Message, toJson } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { http as httpRule } from "../../gen/google/api/annotations_pb.ts";
import { badRequestDetail, type Outcome, refusal, valuesOf } from "./outcome.ts";
import type { Call, Protocol } from "./protocols.ts";

/** Method, path, and the body if there is one. */
export type RestCall = readonly [method: string, path: string, body?: unknown];

interface Sent {
  readonly verb: string;
  readonly path: string;
  readonly headers: http.OutgoingHttpHeaders;
  readonly body: Uint8Array | undefined;
  readonly signal: AbortSignal | undefined;
}

interface Reply {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: AsyncIterable<Buffer>;
}

export function rest(port: number, version: "1.1" | "2"): Protocol {
  const client = version === "2" ? http2Client(port) : http1Client(port);
  return {
    name: `REST, HTTP/${version}`,
    family: "rest",
    json: true,
    pliable: true,
    call: async (call) => {
      const messages: Message[] = [];
      try {
        return await read(call, await client.send(await sentOf(call)), messages);
      } catch (error) {
        return refusal(call.signal?.aborted ? new ConnectError("canceled", Code.Canceled) : error, messages);
      }
    },
    close: () => client.close(),
  };
}

async function sentOf(call: Call): Promise<Sent> {
  const [verb, path, body] = call.rest ?? restCallOf(call);
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of call.headers ?? []) headers[name] = [...(headers[name] ?? []), value];
  if (call.timeoutMs !== undefined) headers["x-server-timeout"] = String(call.timeoutMs / 1_000);
  if (call.accept) headers["accept-encoding"] = call.accept.name;
  if (body === undefined) return { verb, path, headers, body: undefined, signal: call.signal };
  headers["content-type"] = "application/json";
  if (call.send) headers["content-encoding"] = call.send.name;
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return { verb, path, headers, body: (await call.send?.compress(bytes)) ?? bytes, signal: call.signal };
}

function restCallOf({ method, request }: Call): RestCall {
  const { pattern, body } = getOption(method, httpRule);
  if (pattern.case !== "post" || body !== "*") throw new Error(`say how REST writes ${method.name}`);
  return ["POST", pattern.value, toJson(method.input, request)];
}

async function read(call: Call, reply: Reply, messages: Message[]): Promise<Outcome> {
  const { status, headers } = reply;
  const outcome = (error?: RestError): Outcome => ({
    code: error ? `${status} ${error.code}` : String(status),
    message: error?.message ?? "",
    details: error?.details.length
      ? [badRequestDetail(error.details.map((it) => [it.field, it.rule, it.message]))]
      : [],
    messages,
    headers: error ? {} : valuesOf(entriesOf(headers)),
    trailers: error ? valuesOf(entriesOf(headers)) : {},
  });
  if (headers["content-type"] !== "application/x-ndjson") {
    const json = JSON.parse(Buffer.concat(await Array.fromAsync(reply.body)).toString());
    if (status >= 300) return outcome(json.error);
    messages.push(messageOf(call.method, json));
    return outcome();
  }
  for await (const line of linesOf(reply.body)) {
    const { result, error } = JSON.parse(line);
    if (error) return outcome(error);
    messages.push(fromJson(call.method.output, result));
    await call.onMessage?.();
  }
  return outcome();
}

interface RestError {
  readonly code: string;
  readonly message: string;
  readonly details: readonly { readonly field: string; readonly rule: string; readonly message: string }[];
}

function messageOf(method: DescMethod, json: JsonValue): Message {
  const { responseBody } = getOption(method, httpRule);
  return fromJson(method.output, responseBody === "" ? json : { [responseBody]: json });
}

const entriesOf = (headers: http.IncomingHttpHeaders) =>
  Object.entries(headers).flatMap(([name, value]) => [value ?? []].flat().map((it) => [name, it] as const));

async function* linesOf(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of body) {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf("\n"); end !== -1; end = rest.indexOf("\n")) {
      yield rest.subarray(0, end).toString();
      rest = rest.subarray(end + 1);
    }
  }
  if (rest.length > 0) throw new Error("the last line is incomplete");
}

interface HttpClient {
  send(sent: Sent): Promise<Reply>;
  close(): void;
}

function http1Client(port: number): HttpClient {
  const agent = new http.Agent({ keepAlive: true });
  return {
    send: async ({ verb, path, headers, body, signal }) => {
      const length = body === undefined ? {} : { "content-length": body.length };
      const request = http.request({
        host: "127.0.0.1",
        port,
        agent,
        method: verb,
        path,
        headers: { ...headers, ...length },
        signal,
      });
      request.end(body);
      const [response] = (await once(request, "response")) as [http.IncomingMessage];
      return { status: response.statusCode ?? 0, headers: response.headers, body: response };
    },
    close: () => agent.destroy(),
  };
}

function http2Client(port: number): HttpClient {
  let session: http2.ClientHttp2Session | undefined;
  return {
    send: async ({ verb, path, headers, body, signal }) => {
      session ??= http2.connect(`http://127.0.0.1:${port}`);
      const fields = { ...headers, ":method": verb, ":path": path };
      const stream = session.request(fields, { endStream: body === undefined, ...(signal ? { signal } : {}) });
      if (body !== undefined) stream.end(body);
      const [head] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
      return { status: Number(head[":status"]), headers: head, body: stream };
    },
    close: () => session?.destroy(),
  };
}
