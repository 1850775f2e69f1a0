/** `buf curl` as it comes: it learns the schema by reflection, over each protocol, and then calls. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";

const run = promisify(execFile);
const BUF = fileURLToPath(new URL("../../node_modules/.bin/buf", import.meta.url));

const CREATE = "alumia.webhooks.v1.WebhookService/CreateWebhook";

let service: TestService;

beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  await service?.stop();
});

/** Calls `package.Service/Method` with flags; resolves to the messages that are printed. */
async function curl(protocol: string, rpc: string, data: object, ...flags: string[]): Promise<unknown[]> {
  const common = ["curl", "--protocol", protocol, "--http2-prior-knowledge", "--data", JSON.stringify(data)];
  const { stdout } = await run(BUF, [...common, ...flags, `${service.url}/${rpc}`], { maxBuffer: 64 * 1024 * 1024 });
  return JSON.parse(`[${stdout.replaceAll(/\}\s*\{/g, "},{")}]`) as unknown[];
}

const authorized = () => ["--header", `authorization: Bearer ${service.key}`];

describe.each(["grpc", "grpcweb", "connect"])("%s", (protocol) => {
  test("health, without a key", async () => {
    const request = { service: "alumia.webhooks.v1.EventService" };
    expect(await curl(protocol, "grpc.health.v1.Health/Check", request)).toEqual([{ status: "SERVING" }]);
  });

  test("an authenticated call", async () => {
    const webhook = expect.objectContaining({ name: protocol, status: "active" });
    expect(await curl(protocol, CREATE, { name: protocol }, ...authorized())).toEqual([{ webhook }]);
  });

  test.each([
    ["a call without a key", { name: "w" }, () => [], "unauthenticated", ["google.rpc.ErrorInfo"]],
    ["a wrong field", {}, authorized, "invalid_argument", ["google.rpc.ErrorInfo", "google.rpc.BadRequest"]],
  ])("%s is refused, with its details", async (_what, request, flags, code, types) => {
    const { stderr } = await curl(protocol, CREATE, request, ...flags()).then(
      () => expect.unreachable(),
      (error: { stderr: string }) => error,
    );
    const details = types.map((type) => expect.objectContaining({ type }));
    expect(JSON.parse(stderr)).toMatchObject({ code, details });
  });

  test("a stream", async () => {
    const webhook = (await service.api.post("/webhooks", { name: "w" })).body;
    const bytes = new Uint8Array(randomBytes(1_200_001));
    const { eventId } = (await send(webhook.receiveUrl, bytes, hubSignature(webhook.secret, bytes))).body;
    const rpc = "alumia.webhooks.v1.EventService/GetEventBody";
    const pieces = await curl(protocol, rpc, { id: eventId }, ...authorized());
    expect(pieces.length).toBe(3);
    const data = pieces.map((piece) => Buffer.from((piece as { body: { data: string } }).body.data, "base64"));
    expect(Buffer.concat(data).equals(bytes)).toBe(true);
  });
});
