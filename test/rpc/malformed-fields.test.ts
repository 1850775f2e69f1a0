/**
 * Every field of every request, found in the descriptors, with every value that it cannot take, over protocols that
 * take turns: the caller is told what is wrong, nothing is changed, and nothing is logged as a fault of ours.
 */
import { type DescMethod, getOption, hasOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FieldBehavior, field_behavior } from "../../gen/google/api/field_behavior_pb.ts";
import { badValuesOf, jsonPathOf, type Place, placesOf } from "../fuzz/bad-values.ts";
import { type Ending, type RawCalls, rawCalls } from "../fuzz/raw-calls.ts";
import { malformedMessage, malformedRest, type RestRequest, wellFormedRequest } from "../fuzz/requests.ts";
import { readAnswer } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { type Log, rememberErrors } from "../support/log.ts";
import { startService, type TestService } from "../support/service.ts";
import { generatedMethods, rpcName } from "./connect-clients.ts";
import { type Seed, seed } from "./seed.ts";

/** Longest message that is put into a URL. */
const QUERY_CHARS_MAX = 16_000;

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

/** Over how many of the protocols each value is sent. Which ones goes round, so that each meets every kind of value. */
const PROTOCOLS_EACH = 2;

/** What may be taken all the same: text of any length that is only looked at, and what a sender's proof is asked for. */
const TAKEN: readonly RegExp[] = [
  /^VerifySignature payload: (a NUL|an enormous text) .* OK$/,
  /^Receive(Linear)? (webhookId|body.*): .* (Unauthenticated|NotFound)$/,
];

/** Where the message as a whole cannot be read, its reader knows of no field. */
const UNREADABLE = /utf-8|surrogate|body: must be|nested|percent escape|cannot decode|invalid varint/i;

test.each(generatedMethods().map((method) => [rpcName(method), method] as const))("%s", async (_name, method) => {
  const before = await contents();
  const places = placesOf(method.input);
  const taken = await takenAt(
    method,
    places.filter((place) => !place.some(isOutputOnly)),
  );
  expect(await contents()).toEqual(before);
  // A create that drops what only the service writes creates.
  taken.push(
    ...(await takenAt(
      method,
      places.filter((place) => place.some(isOutputOnly)),
    )),
  );
  if (!method.name.startsWith("Create")) expect(await contents()).toEqual(before);
  expect(taken.filter((line) => !TAKEN.some((pattern) => pattern.test(line)))).toEqual([]);
  expect(log.errors).toEqual([]);
});

async function takenAt(method: DescMethod, places: readonly Place[]): Promise<string[]> {
  const taken: string[] = [];
  for (const [turn, place] of places.entries()) {
    for (const found of await endingsAt(method, place, turn))
      if (!isRefused(found, place)) taken.push(describeEnding(method, found));
  }
  return taken;
}

interface Found extends Ending {
  /** Which value was sent where, and over which protocol. */
  readonly what: string;
}

async function endingsAt(method: DescMethod, place: Place, turn: number): Promise<Found[]> {
  const request = wellFormedRequest(method, seeded);
  const endings: Promise<Found>[] = [];
  for (const [n, bad] of [...badValuesOf(place.at(-1) as Place[number])].entries()) {
    const ways: { readonly protocol: string; readonly call: () => Promise<Ending> }[] = [];
    for (const protocol of calls.protocols) {
      const message = malformedMessage(protocol.codec, method, request, place, bad);
      const fits = !protocol.readsOnly || (isReadableByGet(method) && (message?.length ?? 0) < QUERY_CHARS_MAX);
      if (message && fits) ways.push({ protocol: protocol.name, call: () => protocol.call(method, message) });
    }
    const rest = malformedRest(method, request, place, bad);
    if (rest && rest.target.length < QUERY_CHARS_MAX) ways.push({ protocol: "REST", call: () => overRest(rest) });
    for (const { protocol, call } of inTurn(ways, turn + n)) {
      const what = `${jsonPathOf(place)}: ${bad.name} over ${protocol}`;
      endings.push(call().then((ending) => ({ what, ...ending })));
    }
  }
  return await Promise.all(endings);
}

function inTurn<Way>(ways: readonly Way[], turn: number): Way[] {
  const first = ways.length === 0 ? 0 : (turn * PROTOCOLS_EACH) % ways.length;
  return [...ways.slice(first), ...ways.slice(0, first)].slice(0, PROTOCOLS_EACH);
}

const isReadableByGet = (method: DescMethod): boolean =>
  method.methodKind === "unary" && method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;

async function overRest({ method, target, body }: RestRequest): Promise<Ending> {
  const headers = { authorization: `Bearer ${service.key}`, ...(body && { "content-type": "application/json" }) };
  const answer = await readAnswer(await fetch(`${service.url}${target}`, { method, headers, body: body ?? null }));
  if (answer.status < 300) return { code: "OK", message: "", fields: [] };
  const { code, message, details } = answer.body.error;
  const rpcCode = { BAD_REQUEST: "InvalidArgument", UNAUTHORIZED: "Unauthenticated", NOT_FOUND: "NotFound" }[
    code as string
  ];
  return { code: rpcCode ?? code, message, fields: details.map((detail: { field: string }) => detail.field) };
}

/** Whether the caller learns what is wrong. What only the service writes may be dropped unread instead. */
function isRefused({ code, message, fields }: Found, place: Place): boolean {
  if (place.some(isOutputOnly)) return code === "OK" || code === "InvalidArgument";
  const { name, jsonName } = place.at(-1) as Place[number];
  const isNamed = fields.some((field) => field.includes(jsonName)) || message.includes(name);
  return code === "InvalidArgument" && (isNamed || UNREADABLE.test(message));
}

function isOutputOnly(field: Place[number]): boolean {
  return hasOption(field, field_behavior) && getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
}

const describeEnding = (method: DescMethod, { what, code, message }: Found): string =>
  `${method.name} ${what.slice(0, 200)}: ${message.slice(0, 200)} ${code}`;

/** Everything that a call could have changed. */
async function contents(): Promise<unknown> {
  const { rows } = await service.pool.query(
    `select (select json_agg(w order by id) from webhooks w) as webhooks,
       (select json_agg(s order by s::text) from webhook_secrets s) as secrets,
       (select json_agg(json_build_array(id, name, revoked_at) order by id) from api_keys) as keys,
       (select count(*)::int from events) as events, (select count(*)::int from deliveries) as deliveries`,
  );
  return rows[0];
}
