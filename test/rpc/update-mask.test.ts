/** UpdateWebhook's `update_mask` over gRPC (AIP-134). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, type GrpcClient, grpcRefusal, type Json } from "./grpc-client.ts";

let service: TestService;
let client: GrpcClient;

beforeAll(async () => {
  service = await startService();
  client = createGrpcClient(service.port, service.key);
});
afterAll(async () => {
  client?.close();
  await service?.stop();
});

/** What every case starts from. */
const MADE = {
  name: "made",
  url: "https://example.com/hook",
  source: "github",
  description: "text",
  events: ["a", "b"],
  status: "paused",
};

const create = async (): Promise<Json> => (await client.unary("WebhookService/CreateWebhook", MADE)).webhook;

function update(webhook: object, paths?: readonly string[]): Promise<Json> {
  const updateMask = paths === undefined ? {} : { updateMask: { paths } };
  return client.unary("WebhookService/UpdateWebhook", { webhook, ...updateMask });
}

/** The settings that a caller writes, as the webhook now has them. */
function settingsOf({ webhook }: Json): object {
  const { name, source, description, events, status, forwarding } = webhook;
  const url = webhook.url === webhook.receiveUrl ? null : webhook.url;
  return { name, url, source, description, events, status, forwarding: forwarding.state };
}

/** Verification settings as the client shows them, empty lists left out. */
const verificationOf = ({ webhook }: Json) => webhook.verification ?? null;

const VERIFICATION = {
  scheme: "hmac",
  header: "x-sig",
  content: "{ts}.{body}",
  timestamp: { header: "x-time", unit: "ms", toleranceSeconds: 60 },
};

const verifications: [name: string, fields: Settings, paths: readonly string[] | undefined, expected: object | null][] =
  [
    ["no mask: replaced whole", { verification: { scheme: "none" } }, undefined, { scheme: "none" }],
    ["no mask, not given: stays", { name: "new" }, undefined, VERIFICATION],
    ["a mask: replaced whole", { verification: { scheme: "none" } }, ["verification"], { scheme: "none" }],
    ["a mask, not given: cleared", {}, ["verification"], null],
    ["*: not given, cleared", { name: "new" }, ["*"], null],
    [
      "a path within: that setting",
      { verification: { header: "x-new", prefix: "v1=" } },
      ["verification.header"],
      { ...VERIFICATION, header: "x-new" },
    ],
    [
      "a path within, in two steps",
      { verification: { timestamp: { unit: "s" } } },
      ["verification.timestamp.unit", "verification.timestamp.tolerance_seconds"],
      { ...VERIFICATION, timestamp: { header: "x-time", unit: "s" } },
    ],
    [
      "a path to a message within: replaced",
      { verification: { timestamp: { header: "x-at" } } },
      ["verification.timestamp"],
      { ...VERIFICATION, timestamp: { header: "x-at" } },
    ],
    [
      "the whole and a path within: the whole",
      { verification: { scheme: "none" } },
      ["verification.header", "verification"],
      { scheme: "none" },
    ],
    [
      "a path beside another field",
      { name: "new", verification: { header: "x-new" } },
      ["name", "verification.header"],
      { ...VERIFICATION, header: "x-new" },
    ],
  ];

test.each(verifications)("verification, %s", async (_name, fields, paths, expected) => {
  const made = await client.unary("WebhookService/CreateWebhook", {
    ...MADE,
    source: "acme",
    verification: VERIFICATION,
  });
  const updated = await update({ id: made.webhook.id, ...fields }, paths);
  expect(verificationOf(updated)).toEqual(expected);
  expect(await client.unary("WebhookService/GetWebhook", { id: made.webhook.id })).toEqual(updated);
});

const MADE_SETTINGS = { ...MADE, forwarding: "active" };
type Settings = Readonly<Record<string, unknown>>;
const cleared = { url: null, description: undefined, events: undefined };

const cases: [name: string, fields: Settings, paths: readonly string[] | undefined, expected: Settings][] = [
  ["no mask: the populated fields", { name: "new", events: ["c"] }, undefined, { name: "new", events: ["c"] }],
  ["an empty mask: the populated fields", { description: "new" }, [], { description: "new" }],
  ["no mask: an empty text is populated", { description: "", url: "" }, undefined, { description: "", url: null }],
  ["no mask: an empty list is not populated", { name: "new", events: [] }, undefined, { name: "new" }],
  ["no mask: false is populated, and leaves what is not active", { enabled: false }, undefined, {}],
  ["no mask: true is populated", { enabled: true }, undefined, { status: "active" }],
  ["no mask and no field: nothing", {}, undefined, {}],
  ["a mask: what it names and nothing else", { name: "new", description: "not" }, ["name"], { name: "new" }],
  ["a mask: what it names and is not set is cleared", {}, ["url", "description", "events"], cleared],
  ["a mask: source without a value is the default", {}, ["source"], { source: "custom" }],
  ["a mask: a list is replaced whole", { events: ["c"] }, ["events"], { events: ["c"] }],
  ["a mask: a path twice is as once", { name: "new" }, ["name", "name"], { name: "new" }],
  ["a mask: within a message", { forwarding: { state: "stopped" } }, ["forwarding.state"], { forwarding: "stopped" }],
  ["no mask: a message", { forwarding: { state: "stopped" } }, undefined, { forwarding: "stopped" }],
  [
    "*: what is not given is reset",
    { name: "new" },
    ["*"],
    { ...cleared, name: "new", source: "custom", status: "active" },
  ],
  ["*: with everything", { ...MADE, name: "all", description: "new" }, ["*"], { name: "all", description: "new" }],
  ["*: enabled stands for status", { name: "n", source: "github", enabled: false }, ["*"], { ...cleared, name: "n" }],
  [
    "* among others: a full replacement",
    { name: "n", source: "github", status: "paused" },
    ["*", "name"],
    { ...cleared, name: "n" },
  ],
];

test.each(cases)("%s", async (_name, fields, paths, expected) => {
  const { id } = await create();
  const updated = await update({ id, ...fields }, paths);
  expect(settingsOf(updated)).toEqual({ ...MADE_SETTINGS, ...expected });
  expect(await client.unary("WebhookService/GetWebhook", { id })).toEqual(updated);
});

const outputOnly = {
  deliveryCount: 99,
  lastDeliveryAt: { seconds: 1 },
  createdAt: { seconds: 1 },
  updatedAt: { seconds: 1 },
  receiveUrl: "https://example.com/elsewhere",
  forwardSecret: "not yours to choose",
};
const OUTPUT_ONLY_PATHS = [
  "id",
  "delivery_count",
  "last_delivery_at",
  "created_at",
  "updated_at",
  "receive_url",
  "forward_secret",
  "forwarding.reason",
  "forwarding.stopped_at",
];

test.each<[string, readonly string[] | undefined]>([
  ["without a mask", undefined],
  ["named by the mask", [...OUTPUT_ONLY_PATHS, "name"]],
])("what only we write is ignored, %s", async (_how, paths) => {
  const made = await create();
  const { webhook } = await update({ id: made.id, name: "new", ...outputOnly }, paths);
  const { secret: _secret, forwardSecret: _forwardSecret, ...shown } = made;
  const { seconds } = webhook.updatedAt;
  expect(webhook).toEqual({ ...shown, name: "new", updatedAt: webhook.updatedAt });
  expect(seconds).toBeGreaterThanOrEqual(made.updatedAt.seconds);
});

test("an output-only path within a message takes nothing along with it", async () => {
  const { id } = await create();
  const updated = await update({ id, forwarding: { state: "stopped", reason: "x" } }, ["forwarding.reason"]);
  expect(settingsOf(updated)).toEqual(MADE_SETTINGS);
});

test("a webhook may be sent back as it was got, and stays as it is", async () => {
  const { id } = await create();
  for (const paths of [undefined, ["*"]]) {
    const got = await client.unary("WebhookService/GetWebhook", { id });
    expect(settingsOf(await update(got.webhook, paths))).toEqual(MADE_SETTINGS);
  }
});

const refused: [name: string, fields: Settings, paths: readonly string[] | undefined, violation: string][] = [
  ["an unknown path", { name: "new" }, ["name", "nope"], "updateMask unknown"],
  ["a path in camelCase", {}, ["deliveryCount"], "updateMask unknown"],
  ["an empty path", { name: "new" }, [""], "updateMask unknown"],
  ["a path below a plain field", { name: "new" }, ["name.first"], "updateMask unknown"],
  ["an unknown path within a message", { forwarding: { state: "stopped" } }, ["forwarding.nope"], "updateMask unknown"],
  [
    "an unknown path within verification",
    { verification: { header: "x" } },
    ["verification.nope"],
    "updateMask unknown",
  ],
  ["its JSON name", { verification: { bodyField: "x" } }, ["verification.bodyField"], "updateMask unknown"],
  ["a setting that makes no sense", { verification: { header: "x" } }, undefined, "verification.header unused"],
  ["a path below a path", { forwarding: { state: "stopped" } }, ["forwarding.state.x"], "updateMask unknown"],
  ["a header by its name", { forwarding: { headers: { a: "b" } } }, ["forwarding.headers.a"], "updateMask unknown"],
  [
    "a name of Object's own below",
    { forwarding: { state: "stopped" } },
    ["forwarding.constructor"],
    "updateMask unknown",
  ],
  ["the name of a oneof", { name: "new" }, ["issued_secret"], "updateMask unknown"],
  ["a name of Object's own", { name: "new" }, ["constructor"], "updateMask unknown"],
  ["the name cleared", {}, ["name"], "name required"],
  ["the status cleared", {}, ["status"], "status required"],
  ["enabled cleared", {}, ["enabled"], "enabled required"],
  ["*: without a name", { description: "x" }, ["*"], "name required"],
  ["status against enabled", { status: "active", enabled: false }, undefined, "enabled contradiction"],
  ["a value that no mask names", { name: "x".repeat(121) }, ["events"], "name string.max_len"],
  ["the secret, without another source", { secret: "other" }, ["secret"], "secret rotate"],
];

test.each(refused)("INVALID_ARGUMENT, and nothing changes: %s", async (_name, fields, paths, violation) => {
  const { id } = await create();
  const refusal = await grpcRefusal(update({ id, ...fields }, paths));
  expect(refusal).toMatchObject({ code: "INVALID_ARGUMENT", violations: [violation] });
  expect(settingsOf(await client.unary("WebhookService/GetWebhook", { id }))).toEqual(MADE_SETTINGS);
});
