/** Test events of every source: signed as the provider would, through the real receive path. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PRESETS } from "../../src/signature/presets.ts";
import { canSign } from "../../src/signature/sign.ts";
import { findSource, generateSecretFor, needsPublicUrl, SOURCE_NAMES } from "../../src/signature/source.ts";
import { secretOf, sourceOf, VECTORS } from "../signature/vectors.ts";
import { startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";

let service: TestService;
let withoutUrl: TestService;

beforeAll(async () => {
  service = await startService({ env: { PUBLIC_URL: "https://hooks.example.com" } });
  withoutUrl = await startService();
});
afterAll(async () => {
  await service?.stop();
  await withoutUrl?.stop();
});

/** A webhook with the secret that we make, or where only the provider can, one of a vector's. */
async function create({ api }: TestService, source: string, settings: object = {}) {
  const vector = VECTORS.find((candidate) => sourceOf(candidate) === source);
  const generated = generateSecretFor(findSource(source)) !== undefined;
  const secret = generated || !vector ? {} : { secret: secretOf(vector) };
  const { status, body } = await api.post("/webhooks", { name: source, source, ...secret, ...settings });
  expect(status, JSON.stringify(body)).toBe(201);
  return body;
}

/** A type as specific as the source's first lookup makes it, where it can be chosen at all. */
function typeOf(source: string): { asked: string; expected: string | null } {
  const [lookup] = PRESETS[source]?.schemes.find(({ body }) => body !== "form")?.type ?? [];
  if (lookup === undefined) return { asked: "a", expected: null };
  if (lookup.startsWith("k:")) {
    const asked = lookup.startsWith("k:!") ? "message" : lookup.slice(2).replace("*", "follow");
    return { asked, expected: asked };
  }
  const asked = lookup
    .split("+")
    .map((_, index) => `part${index}`)
    .join(".");
  return { asked, expected: asked };
}

describe.each(SOURCE_NAMES)("%s", (source) => {
  test("is recorded, verified as what it is, and marked synthetic", async () => {
    const webhook = await create(service, source);
    const { asked, expected } = typeOf(source);
    const answer = await service.api.post("/webhooks/test", { webhookId: webhook.id, eventType: asked });
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    const signed = canSign(findSource(source));
    const { body: event } = await service.api.get(`/webhooks/events/${answer.body.id}`);
    expect(event).toMatchObject({ webhookId: webhook.id, synthetic: true, verified: true, status: "received" });
    if (!signed) expect(event.scheme).toBe("synthetic");
    else expect(PRESETS[source]?.schemes.map(({ name }) => name)).toContain(event.scheme);
    // Where nothing signs, nothing says which form the request bears; a header that names the type is not sent then.
    if (signed) expect(event.type).toBe(expected);
    for (const secret of [webhook.secret, webhook.secret?.slice(6)].filter(Boolean)) {
      expect(JSON.stringify(event.headers)).not.toContain(secret);
    }
  });
});

test.each(SOURCE_NAMES.filter((name) => needsPublicUrl(findSource(name)) && name !== "hubspot"))(
  "%s without PUBLIC_URL: CONFLICT with the remedy, and nothing is recorded",
  async (source) => {
    const webhook = await create(withoutUrl, source);
    const { status, body } = await withoutUrl.api.post("/webhooks/test", { webhookId: webhook.id });
    expect([status, body.error.code]).toEqual([409, "CONFLICT"]);
    expect(body.error.message).toMatch(/PUBLIC_URL/);
    expect((await withoutUrl.api.get(`/webhooks/${webhook.id}/events`)).body.items).toEqual([]);
  },
);

test("a source that only the provider can sign for needs no secret to be tested, and its event is delivered signed", async () => {
  const destination = await startDestination();
  try {
    const { body: webhook } = await service.api.post("/webhooks", {
      name: "p",
      source: "paypal",
      url: destination.url,
    });
    expect(webhook).not.toHaveProperty("secret");
    expect(webhook.forwardSecret).toMatch(/^whsec_/);
    const { status } = await service.api.post("/webhooks/test", { webhookId: webhook.id });
    expect(status).toBe(200);
    await destination.arrived(1);
    expect(destination.arrivals[0]?.headers["webhook-signature"]).toMatch(/^v1,/);
  } finally {
    await destination.close();
  }
});
