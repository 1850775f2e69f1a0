/** Messages that are none: INVALID_ARGUMENT over every protocol, and never a fault of ours. */

import { gzipSync } from "node:zlib";
import { type DescMethod, fromJson, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { EventService } from "../../gen/alumia/webhooks/v1/event_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { open } from "../edge/wire.ts";
import { binaryAt, varint } from "../fuzz/bad-values.ts";
import { type Ending, envelope, type RawCalls, rawCalls } from "../fuzz/raw-calls.ts";
import { wellFormedRequest } from "../fuzz/requests.ts";
import { runs } from "../fuzz/runs.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { type Log, rememberErrors } from "../support/log.ts";
import { startService, type TestService } from "../support/service.ts";
import { generatedMethods, rpcName } from "./connect-clients.ts";
import { type Seed, seed } from "./seed.ts";

let log: Log;
let service: TestService;
let destination: Destination;
let seeded: Seed;
let calls: RawCalls;

beforeAll(async () => {
  log = rememberErrors();
  service = await startService({ logger: log.logger });
  destination = await startDestination();
  seeded = await seed(service.api, destination.url);
  calls = rawCalls(service.url, service.key);
});
afterAll(async () => {
  calls?.close();
  await service?.stop();
  await destination?.close();
});

const { createWebhook, getWebhook, verifySignature } = WebhookService.method;
const { getEventBody, sendTestEvent } = EventService.method;

/** How each protocol with the codec answers: the code, and what the callers may not see. */
async function codesOf(
  codec: "json" | "proto",
  method: DescMethod,
  message: Uint8Array,
): Promise<Record<string, string>> {
  const codes: Record<string, string> = {};
  for (const protocol of calls.protocols) {
    if (protocol.codec !== codec || protocol.readsOnly) continue;
    codes[protocol.name] = (await protocol.call(method, Buffer.from(message))).code;
  }
  return codes;
}

const everywhere = (codec: string, code: string) =>
  Object.fromEntries(["Connect", "gRPC-Web", "gRPC"].map((name) => [`${name} ${codec}`, code]));

test.each<[name: string, text: string]>([
  ["nothing", ""],
  ["a blank", " "],
  ["no JSON", "{"],
  ["more than one value", "{} {}"],
  ["a number", "1"],
  ["a list", "[]"],
  ["a text", '"x"'],
  ["null", "null"],
  ["a key given twice", '{"name":"a","name":"b"}'],
  ["a key given twice below", '{"name":"a","unknown":[{"x":1,"\\u0078":2}]}'],
  ["NaN", '{"name":NaN}'],
  ["a trailing comma", '{"name":"a",}'],
  ["a comment", '{"name":"a"}//'],
  ["lists without end", "[".repeat(100_000)],
  ["an unknown key with lists without end", `{"unknown":${"[".repeat(5_000)}${"]".repeat(5_000)}}`],
  ["a raw control character", '{"name":"a\tb"}'],
  ["half a pair in an unknown key", '{"name":"a","\\ud800":1}'],
])("JSON: %s", async (_name, text) => {
  expect(await codesOf("json", createWebhook, Buffer.from(text))).toEqual(everywhere("json", "InvalidArgument"));
  expect(log.errors).toEqual([]);
});

test("JSON: a message is never quoted to its sender", async () => {
  for (const protocol of calls.protocols.filter(({ codec, readsOnly }) => codec === "json" && !readsOnly)) {
    for (const text of ['{"secret":"whsec_1234', '{"name":"a","name":"whsec_1234"}', "whsec_1234"]) {
      expect((await protocol.call(createWebhook, Buffer.from(text))).message).not.toContain("whsec_1234");
    }
  }
});

test.each([
  ["NULs", "\0", "text.nul"],
  ["too long", "x".repeat(201), "string.max_len"],
])("a refusal is short, however much is wrong: %s", async (_name, item, rule) => {
  const answer = await service.api.post("/webhooks", { name: "w", events: Array(20_000).fill(item) });
  const { message, details } = answer.body.error;
  expect([answer.status, details.length, message.length < 2_000]).toEqual([400, 20, true]);
  expect(details.at(-1).rule).toBe(rule);
  const long = await service.api.post("/webhooks/verify", { payload: "", headers: { ["k".repeat(10_000)]: "\0" } });
  expect(long.body.error.details).toMatchObject([{ field: `headers["${"k".repeat(191)}…`, rule: "text.nul" }]);
});

test("JSON: __proto__ is a key like others, and changes nothing", async () => {
  const text = '{"webhookId":"ID","payload":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}}';
  const codes = await codesOf("json", sendTestEvent, Buffer.from(text.replace("ID", seeded.webhook.id)));
  expect(codes).toEqual(everywhere("json", "OK"));
  const rest = await service.api.call("POST", "/webhooks/test", text.replace("ID", seeded.webhook.id));
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  expect(JSON.parse(rest.body.payload.replace("__proto__", "renamed"))).toMatchObject({ renamed: { polluted: 1 } });
  const { items } = (await service.api.get(`/webhooks/${seeded.webhook.id}/events`)).body;
  const payloads = [];
  for (const { id } of items.slice(0, 4)) payloads.push((await service.api.get(`/webhooks/events/${id}`)).body.payload);
  expect(payloads.map((payload) => payload.includes('"__proto__":{"polluted":1}'))).toEqual([true, true, true, true]);
});

/** Groups inside each other, none of which ends. */
const openGroups = (count: number) => Buffer.alloc(2 * count, Buffer.from([0xa3, 0x06]));

test.each<[name: string, bytes: Uint8Array]>([
  ["a tag that ends early", Buffer.of(0x80)],
  ["a length past the end", Buffer.of(0x0a, 0x05, 0x61)],
  ["a length past 2^31", Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x61)],
  ["a length past 2^63", Buffer.concat([Buffer.of(0x0a), Buffer.alloc(9, 0xff), Buffer.of(0x01)])],
  ["the field number 0", Buffer.of(0x02, 0x01, 0x61)],
  ["the wire type 6", Buffer.of(0x0e)],
  ["the wire type 7", Buffer.of(0x0f)],
  ["a group that ends before it begins", Buffer.of(0x0c)],
  ["a group that does not end", openGroups(1)],
  ["groups without end", openGroups(100_000)],
  [
    "an unknown field of deep groups",
    Buffer.concat([openGroups(5_000), Buffer.alloc(10_000, Buffer.from([0xa4, 0x06]))]),
  ],
  ["a tag of eleven bytes", Buffer.concat([Buffer.alloc(10, 0xff), Buffer.of(0x01)])],
])("protobuf: %s", async (_name, bytes) => {
  expect(await codesOf("proto", createWebhook, bytes)).toEqual(everywhere("proto", "InvalidArgument"));
  expect(await codesOf("proto", getEventBody, bytes)).toEqual(everywhere("proto", "InvalidArgument"));
  expect(log.errors).toEqual([]);
});

test("protobuf: every field with every other wire type", async () => {
  const allowed = new Set(["OK", "InvalidArgument", "NotFound", "Unauthenticated"]);
  const connect = calls.protocols.find((protocol) => protocol.name === "Connect proto");
  for (const method of generatedMethods()) {
    const request = toBinary(method.input, fromJson(method.input, wellFormedRequest(method, seeded)));
    for (const field of method.input.fields) {
      for (const [wireType, bytes] of [
        [0, varint(1)],
        [1, Buffer.alloc(8, 1)],
        [2, varint(0)],
        [5, Buffer.alloc(4, 1)],
      ] as const) {
        const message = Buffer.concat([request, binaryAt([field], { wireType, bytes })]);
        const ending = await connect?.call(method, message);
        expect([rpcName(method), field.name, wireType, allowed.has(ending?.code ?? ""), ending?.code]).toContain(true);
      }
    }
  }
  expect(log.errors).toEqual([]);
});

test("protobuf: any bytes, and any part or change of a message", async () => {
  const allowed = new Set(["OK", "InvalidArgument", "NotFound", "Unauthenticated"]);
  const methods = [getWebhook, verifySignature, getEventBody];
  const messages = methods.map((method) =>
    toBinary(method.input, fromJson(method.input, wellFormedRequest(method, seeded))),
  );
  const changed = fc.tuple(fc.nat(methods.length - 1), fc.uint8Array({ maxLength: 40 }), fc.nat(60), fc.nat(60));
  await fc.assert(
    fc.asyncProperty(changed, async ([index, bytes, from, to]) => {
      const message = messages[index] ?? new Uint8Array();
      const spliced = Buffer.concat([message.subarray(0, from), bytes, message.subarray(to)]);
      const codes = await codesOf("proto", methods[index] ?? getWebhook, spliced);
      expect(Object.values(codes).filter((code) => !allowed.has(code))).toEqual([]);
      expect(new Set(Object.values(codes)).size).toBe(1);
    }),
    runs(60),
  );
  expect(log.errors).toEqual([]);
});

/** Posts bytes as they are. */
async function post(path: string, type: string, body: Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const response = await fetch(`${service.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${service.key}`, "content-type": type, ...headers },
    body,
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

const RPC = "/alumia.webhooks.v1.WebhookService/ListWebhooks";
const packed = gzipSync("{}");

test.each<[name: string, body: Buffer]>([
  ["no gzip", Buffer.from("{}")],
  ["gzip that ends early", packed.subarray(0, 15)],
  ["gzip with a wrong sum", Buffer.concat([packed.subarray(0, -8), Buffer.alloc(8)])],
])("compression: %s is refused", async (_name, body) => {
  const bytes = Buffer.from(body);
  const connect = await post(RPC, "application/json", bytes, { "content-encoding": "gzip" });
  expect([connect.status, JSON.parse(connect.text).code]).toEqual([400, "invalid_argument"]);
  const rest = await post("/api/v1/webhooks", "application/json", bytes, { "content-encoding": "gzip" });
  expect([rest.status, JSON.parse(rest.text).error.code]).toEqual([400, "BAD_REQUEST"]);
  const web = await post(RPC, "application/grpc-web+json", envelope(bytes, 1), { "grpc-encoding": "gzip" });
  expect(web.text).toContain("grpc-status: 3");
  expect(log.errors).toEqual([]);
});

test.each<[name: string, body: Buffer<ArrayBuffer>, status: number]>([
  ["half a head", Buffer.from([0, 0, 0]), 3],
  ["half a message", envelope(Buffer.from("{}")).subarray(0, 6), 3],
  ["a length without end", Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 0x7b]), 8],
  ["an unknown flag", envelope(Buffer.from("{}"), 0x40), 0],
  ["compressed without an encoding", envelope(packed, 1), 3],
])("envelopes: %s", async (_name, body, status) => {
  const web = await post(RPC, "application/grpc-web+json", body);
  expect(web.text || `grpc-status: ${web.headers.get("grpc-status")}`).toContain(`grpc-status: ${status}`);
  expect(log.errors).toEqual([]);
});

test("a stream whose client goes away in the middle of its message is nobody's fault", async () => {
  const path = `/${EventService.typeName}/${getEventBody.name}`;
  const head = [`POST ${path} HTTP/1.1`, "host: x", `authorization: Bearer ${service.key}`, "content-length: 100"];
  const socket = await open(service.port);
  const before = service.app.counts().bodies;
  socket.write(`${[...head, "content-type: application/grpc-web+proto"].join("\r\n")}\r\n\r\n\0\0`);
  await eventually("the body is being read", async () => service.app.counts().bodies > before);
  socket.resetAndDestroy();
  await eventually("the body is given up", async () => service.app.counts().bodies === before);
  expect((await service.api.get("/webhooks")).status).toBe(200);
  expect(log.errors).toEqual([]);
});

test.each([
  ["no base64", "message=%25%25&base64=1", 400],
  ["half an escape", "message=%2&base64=0", 400],
  ["bytes that are no UTF-8", "message=%22%ff%22", 400],
  ["no message", "", 400],
  ["gzip that is none", "message=e30&base64=1&compression=gzip", 400],
  ["an unknown encoding", "message=e30&base64=1&compression=br", 501],
  ["the message", "message=e30&base64=1", 200],
])("a query of Connect GET: %s", async (_name, query, status) => {
  const response = await fetch(`${service.url}${RPC}?connect=v1&encoding=json&${query}`, {
    headers: { authorization: `Bearer ${service.key}` },
  });
  expect([response.status, typeof (await response.json())]).toEqual([status, "object"]);
  expect(log.errors).toEqual([]);
});

test("any cursor, and any change of one, is a page or refused", async () => {
  for (let n = 0; n < 2; n++) await service.api.post("/webhooks", { name: "w" });
  const real = Buffer.from((await service.api.get("/webhooks?limit=1")).body.nextCursor, "base64").toString();
  const date = fc.constantFrom(
    "2026-02-30T00:00:00.000Z",
    "0001-01-01T00:00:00.000Z",
    "9999-12-31T23:59:59.999Z",
    "now",
    null,
    1,
  );
  const id = fc.constantFrom("00000000-0000-0000-0000-000000000000", "x", null, {});
  const made = fc.oneof(
    fc.array(fc.oneof(date, id), { maxLength: 3 }).map((parts) => JSON.stringify(parts)),
    fc
      .tuple(fc.nat(real.length), fc.nat(3), fc.string({ maxLength: 3 }))
      .map(([at, left, added]) => real.slice(0, at) + added + real.slice(at + left)),
    fc.json(),
  );
  const text = fc.oneof(
    made.map((json) => Buffer.from(json).toString("base64url")),
    fc.string({ maxLength: 300 }),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.constantFrom("/webhooks", "/webhooks/events", "/api-keys"), async (cursor, path) => {
      const { status, body } = await service.api.get(`${path}?cursor=${encodeURIComponent(cursor.toWellFormed())}`);
      if (status !== 200) expect([status, body.error.details[0].field]).toEqual([400, "cursor"]);
    }),
    runs(200),
  );
  expect(log.errors).toEqual([]);
});

test("after all of it, a well-formed call works over every protocol", async () => {
  const answers: Record<string, Ending["code"]> = {};
  for (const protocol of calls.protocols) {
    const request = wellFormedRequest(getWebhook, seeded);
    const message =
      protocol.codec === "json"
        ? JSON.stringify(request)
        : toBinary(getWebhook.input, fromJson(getWebhook.input, request));
    answers[protocol.name] = (await protocol.call(getWebhook, Buffer.from(message))).code;
  }
  expect(new Set(Object.values(answers))).toEqual(new Set(["OK"]));
});
