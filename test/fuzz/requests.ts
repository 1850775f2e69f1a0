/** A well-formed request of every RPC, to put one malformed field into. */
import {
  type DescMethod,
  fromJson,
  getOption,
  hasOption,
  type JsonObject,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { rpcName } from "../rpc/connect-clients.ts";
import type { Seed } from "../rpc/seed.ts";
import { type BadValue, binaryAt, jsonPathOf, type Place } from "./bad-values.ts";

/** Whatever changes something names an id that does not exist: only creating and testing could leave traces. */
export function wellFormedRequest(
  method: DescMethod,
  { webhook, eventId, deliveryId, jobId, captureId }: Seed,
): JsonObject {
  const absent = "00000000-0000-7000-8000-000000000000";
  const requests: Readonly<Record<string, JsonObject>> = {
    "ApiKeyService/ListApiKeys": {},
    "ApiKeyService/CreateApiKey": { name: "key" },
    "ApiKeyService/RevokeApiKey": { id: absent },
    "BulkJobService/CancelBulkJob": { id: absent },
    "BulkJobService/CreateBulkJob": { action: "replay", filter: { eventId: absent }, dryRun: true },
    "BulkJobService/GetBulkJob": { id: jobId },
    "BulkJobService/ListBulkJobs": {},
    "BulkJobService/PauseBulkJob": { id: absent },
    "BulkJobService/ResumeBulkJob": { id: absent },
    "DeliveryService/CancelDelivery": { id: absent },
    "DeliveryService/ListDeliveries": {},
    "DeliveryService/ListWebhookDeliveries": { webhookId: webhook.id },
    "DeliveryService/GetDelivery": { id: deliveryId },
    "DeliveryService/RetryDelivery": { id: absent },
    "EventService/ListWebhookEvents": { webhookId: webhook.id },
    "EventService/ListEvents": {},
    "EventService/GetEvent": { id: eventId },
    "EventService/GetEventBody": { id: eventId },
    "EventService/ReplayEvent": { id: absent },
    "EventService/SendTestEvent": { webhookId: webhook.id },
    "ReceiveService/Receive": { webhookId: webhook.id },
    "SourceService/ListSources": {},
    "SourceService/GetSource": { name: "github" },
    "ReceiveService/ReceiveLinear": {},
    "SecretCaptureService/OpenSecretCapture": { id: absent },
    "SecretCaptureService/GetSecretCapture": { id: captureId },
    "SecretCaptureService/ConfirmSecretCapture": { id: absent },
    "TraceService/ListWebhookHandshakes": { webhookId: webhook.id },
    "TraceService/ListWebhookRejections": { webhookId: webhook.id },
    "WebhookService/ListWebhooks": {},
    "WebhookService/CreateWebhook": { name: "webhook" },
    "WebhookService/GetWebhook": { id: webhook.id },
    "WebhookService/UpdateWebhook": { webhook: { id: webhook.id } },
    "WebhookService/DeleteWebhook": { id: absent },
    "WebhookService/RotateWebhookSecret": { id: absent },
    "WebhookService/VerifySignature": { webhookId: webhook.id, payload: "{}" },
  };
  const request = requests[rpcName(method)];
  if (request === undefined) throw new Error(`${rpcName(method)} has no well-formed request yet`);
  return request;
}

/** Stands for the malformed JSON until the message is text. */
const MARK = "@@malformed@@";

/** The request as bytes in a codec, with the malformed value; undefined where the value has no such form. */
export function malformedMessage(
  codec: "json" | "proto",
  method: DescMethod,
  request: JsonObject,
  place: Place,
  { json, binary }: BadValue,
): Buffer<ArrayBuffer> | undefined {
  if (codec === "json") {
    if (json === undefined) return undefined;
    return Buffer.from(
      JSON.stringify(withMark(request, place)).replace(`"${MARK}"`, () => json),
      "latin1",
    );
  }
  if (binary === undefined) return undefined;
  return Buffer.concat([toBinary(method.input, fromJson(method.input, request)), binaryAt(place, binary)]);
}

function withMark(request: JsonObject, place: Place): JsonObject {
  const copy = structuredClone(request);
  let holder = copy;
  for (const field of place.slice(0, -1)) {
    const child = (holder[field.jsonName] ?? {}) as JsonObject;
    holder[field.jsonName] = child;
    holder = child;
  }
  holder[place.at(-1)?.jsonName ?? ""] = MARK;
  return copy;
}

/** A REST request: its target and, where it has one, its body. */
export interface RestRequest {
  readonly method: string;
  readonly target: string;
  readonly body: Buffer<ArrayBuffer> | undefined;
}

/** The request over REST, with the malformed value in its body, path or query; undefined where it has no such form. */
export function malformedRest(
  method: DescMethod,
  request: JsonObject,
  place: Place,
  bad: BadValue,
): RestRequest | undefined {
  if (bad.json === undefined || !hasOption(method, http)) return undefined;
  const { pattern, body } = getOption(method, http);
  if (typeof pattern.value !== "string") return undefined;
  const path = jsonPathOf(place);
  const marked = withMark(request, place);
  const variables = new Set<string>();
  const target = pattern.value.replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    const jsonName = name.replaceAll(/_(.)/g, (_match, letter: string) => letter.toUpperCase());
    variables.add(jsonName);
    return percentText(valueAt(marked, jsonName), bad.json ?? "");
  });
  const verb = (pattern.case ?? "").toUpperCase();
  // In a URL everything is text, which suits a field of text.
  const isText = bad.json.startsWith('"') || place.at(-1)?.scalar !== ScalarType.STRING;
  if (variables.has(path))
    return !isText ? undefined : { method: verb, target, body: body === "" ? undefined : Buffer.from("{}") };
  if (body === "") return !isText ? undefined : queryRequest(verb, target, marked, bad.json, variables);
  if (body !== "*" && place[0]?.name !== body)
    return queryRequest(verb, target, marked, bad.json, new Set([body]), "{}");
  const content = body === "*" ? marked : ((marked[body] ?? {}) as JsonObject);
  const bytes = Buffer.from(
    JSON.stringify(content).replace(`"${MARK}"`, () => bad.json ?? ""),
    "latin1",
  );
  return { method: verb, target, body: bytes };
}

function queryRequest(
  method: string,
  target: string,
  marked: JsonObject,
  json: string,
  elsewhere: ReadonlySet<string>,
  body?: string,
): RestRequest {
  const pairs = Object.entries(marked).filter(([name]) => !elsewhere.has(name));
  const query = pairs.map(([name, value]) => `${name}=${percentText(value, json)}`).join("&");
  return { method, target: `${target}?${query}`, body: body === undefined ? undefined : Buffer.from(body) };
}

function valueAt(request: JsonObject, path: string): unknown {
  return path.split(".").reduce<unknown>((value, name) => (value as JsonObject | undefined)?.[name], request);
}

/** The text of a value, each byte escaped; of malformed JSON, the bytes that its string stands for. */
function percentText(value: unknown, json: string): string {
  if (value !== MARK) return encodeURIComponent(String(value));
  const bytes = json.startsWith('"') ? json.slice(1, -1) : json;
  const text = bytes.replaceAll("\\u0000", "\0").replaceAll(/\\ud[89c]00/g, "\xed\xa0\x80");
  return [...Buffer.from(text, "latin1")].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}
