/** What an update mask means for the credentials of a destination, over stock gRPC (AIP-134). */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { createGrpcClient, type GrpcClient, type Json } from "./grpc-client.ts";

const KEPT = "[redacted]";
const MADE = {
  headers: { "x-a": "one" },
  auth: { basic: { username: "u", password: "secret-password" } },
  ed25519: true,
};
const SHOWN = { headers: { "x-a": KEPT }, auth: { basic: { username: "u", password: KEPT } }, ed25519: true };
const bearer = { bearer: { token: "a-token" } };

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

type Forwarding = Readonly<Record<string, unknown>>;

function partOf({ forwarding }: Json): Forwarding {
  const { headers = {}, auth = null, ed25519 } = forwarding;
  return { headers, auth, ed25519 };
}

test.each<[string, Forwarding | undefined, readonly string[] | undefined, Forwarding]>([
  ["no mask: what is set, and nothing else", { auth: bearer }, undefined, { auth: { bearer: { token: KEPT } } }],
  ["the whole: what is set, and nothing else", { ed25519: false }, ["forwarding"], { ed25519: false }],
  [
    "a field: nothing beside it",
    { headers: { "x-b": "two" }, auth: bearer },
    ["forwarding.headers"],
    { headers: { "x-b": KEPT } },
  ],
  ["a field that is not set: none", {}, ["forwarding.auth"], { auth: null }],
  [
    "fields without the message: none",
    undefined,
    ["forwarding.auth", "forwarding.headers"],
    { auth: null, headers: {} },
  ],
  ["false that is not set", {}, ["forwarding.ed25519"], { ed25519: false }],
  [
    "a path within an authentication: all of it",
    { auth: { basic: { username: "v", password: KEPT } } },
    ["forwarding.auth.basic.username"],
    { auth: { basic: { username: "v", password: KEPT } } },
  ],
  ["what only we write: nothing", { publicKeys: ["whpk_x"] }, ["forwarding.public_keys"], {}],
  ["what only we write, within: nothing", {}, ["forwarding.client_certificate.subject"], {}],
])("%s", async (_what, forwarding, paths, expected) => {
  const { webhook } = await client.unary("WebhookService/CreateWebhook", {
    ...{ name: "made", url: "https://example.com/hook", forwarding: MADE },
  });
  expect(partOf(webhook)).toEqual(SHOWN);
  const changed = await client.unary("WebhookService/UpdateWebhook", {
    webhook: { id: webhook.id, ...(forwarding && { forwarding }) },
    ...(paths && { updateMask: { paths } }),
  });
  expect(partOf(changed.webhook)).toEqual({ ...SHOWN, ...expected });
  const got = await client.unary("WebhookService/GetWebhook", { id: webhook.id });
  expect(got.webhook.forwarding).toEqual(changed.webhook.forwarding);
});

test("*: what is not given is reset; sent back as it was got, it stays", async () => {
  const made = { name: "made", url: "https://example.com/hook", forwarding: MADE };
  const { webhook } = await client.unary("WebhookService/CreateWebhook", made);
  const { secret: _, forwardSecret: __, ...shown } = webhook;
  const back = await client.unary("WebhookService/UpdateWebhook", { webhook: shown, updateMask: { paths: ["*"] } });
  expect(back.webhook.forwarding).toEqual(webhook.forwarding);
  const replaced = { id: webhook.id, name: "n", url: "https://example.com/hook" };
  const reset = await client.unary("WebhookService/UpdateWebhook", { webhook: replaced, updateMask: { paths: ["*"] } });
  expect(partOf(reset.webhook)).toEqual({ headers: {}, auth: null, ed25519: false });
});
