/** Secrets over REST: shown only by the answer that issues them; supplied, rotated, with and without a grace. */
import { Webhook as StandardWebhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { hubSignature, send } from "../support/api.ts";
import { type Destination, startDestination } from "../support/destination.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, refusal } from "./refusal.ts";

const GENERATED = /^whsec_[A-Za-z0-9+/]{43}=$/;
const SUPPLIED = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

let service: TestService;
let destination: Destination;
let clock: ManualClock;

interface Created {
  readonly id: string;
  readonly receiveUrl: string;
  readonly secret: string;
  readonly forwardSecret: string;
}
let webhook: Created;

beforeAll(async () => {
  clock = new ManualClock();
  [service, destination] = await Promise.all([startService({ clock }), startDestination()]);
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});
beforeEach(async () => {
  webhook = (await service.api.post("/webhooks", { name: "w" })).body;
});

const rotate = (body: object = {}) => service.api.post(`/webhooks/${webhook.id}/rotate`, body);
let sequence = 0;
/** Status of a request signed with the secret. */
const receive = async (secret: string) => {
  const body = `{"n":${sequence++}}`;
  return (await send(webhook.receiveUrl, body, hubSignature(secret, body))).status;
};

test("no answer but the one that issues them has a secret or a key for it", async () => {
  const answers = [
    await service.api.get(`/webhooks/${webhook.id}`),
    await service.api.get("/webhooks"),
    await service.api.patch(`/webhooks/${webhook.id}`, { name: "x", secret: webhook.secret }),
    await service.api.post("/webhooks/test", { webhookId: webhook.id }),
    await service.api.get("/webhooks/events"),
    await service.api.post("/webhooks/verify", { webhookId: webhook.id, headers: {}, payload: "" }),
    await service.api.patch(`/webhooks/${webhook.id}`, { secret: "another" }),
    await service.api.delete(`/webhooks/${webhook.id}`),
  ];
  for (const { status, body } of answers) {
    const text = JSON.stringify(body);
    expect([status, text]).toEqual([status, expect.not.stringMatching(/"secret"\s*:|"forwardSecret"|whsec_/)]);
  }
});

test("no secret stands in the database", async () => {
  const { rows } = await service.pool.query<{ row: string }>(
    "select row_to_json(s)::text || encode(sealed, 'escape') as row from webhook_secrets s where webhook_id = $1",
    [webhook.id],
  );
  expect(rows).toHaveLength(2);
  for (const secret of [webhook.secret, webhook.forwardSecret]) {
    const forms = [
      secret.slice(6),
      Buffer.from(secret).toString("hex"),
      Buffer.from(secret.slice(6), "base64").toString("hex"),
    ];
    for (const { row } of rows) for (const form of forms) expect(row).not.toContain(form);
  }
});

test("rotate issues a new secret, and the old one stops at once", async () => {
  expect(await receive(webhook.secret)).toBe(200);
  const { status, body } = await rotate();
  expect(status).toBe(200);
  const { body: got } = await service.api.get(`/webhooks/${webhook.id}`);
  expect(body).toEqual({ ...got, secret: expect.stringMatching(GENERATED) });
  expect(body.secret).not.toBe(webhook.secret);
  expect(await receive(webhook.secret)).toBe(401);
  expect(await receive(body.secret)).toBe(200);
});

test("a grace keeps the secret in force until it ends", async () => {
  const { body } = await rotate({ gracePeriodSeconds: 60 });
  expect([await receive(webhook.secret), await receive(body.secret)]).toEqual([200, 200]);
  clock.advance(59_000);
  expect(await receive(webhook.secret)).toBe(200);
  clock.advance(1_000);
  expect([await receive(webhook.secret), await receive(body.secret)]).toEqual([401, 200]);
});

test("a second grace leaves the first one's end as it was; a rotation without ends them all", async () => {
  const second = (await rotate({ gracePeriodSeconds: 60 })).body.secret;
  const third = (await rotate({ gracePeriodSeconds: 600 })).body.secret;
  expect([await receive(webhook.secret), await receive(second), await receive(third)]).toEqual([200, 200, 200]);
  clock.advance(60_000);
  expect([await receive(webhook.secret), await receive(second), await receive(third)]).toEqual([401, 200, 200]);
  const fourth = (await rotate()).body.secret;
  expect([await receive(second), await receive(third), await receive(fourth)]).toEqual([401, 401, 200]);
});

test("a supplied secret is taken, shown once, and used", async () => {
  const { body } = await rotate({ secret: "from the provider" });
  expect(body.secret).toBe("from the provider");
  expect([await receive("from the provider"), await receive(webhook.secret)]).toEqual([200, 401]);
});

test("the same secret again is in force, not ended by its own rotation", async () => {
  expect((await rotate({ secret: webhook.secret })).body.secret).toBe(webhook.secret);
  expect(await receive(webhook.secret)).toBe(200);
  expect((await rotate({ secret: webhook.secret, gracePeriodSeconds: 5 })).status).toBe(200);
  clock.advance(6_000);
  expect(await receive(webhook.secret)).toBe(200);
});

test("target forward replaces the outbound secret only", async () => {
  await service.api.patch(`/webhooks/${webhook.id}`, { url: destination.url });
  const { status, body } = await rotate({ target: "forward" });
  expect([status, body.secret, body.forwardSecret]).toEqual([200, undefined, expect.stringMatching(GENERATED)]);
  expect(body.forwardSecret).not.toBe(webhook.forwardSecret);
  expect(await signers([webhook.forwardSecret, body.forwardSecret])).toEqual([false, true]);
  const supplied = await rotate({ target: "forward", secret: SUPPLIED, gracePeriodSeconds: 60 });
  expect(supplied.body.forwardSecret).toBe(SUPPLIED);
  expect(await signers([webhook.forwardSecret, body.forwardSecret, SUPPLIED])).toEqual([false, true, true]);
  clock.advance(60_000);
  expect(await signers([body.forwardSecret, SUPPLIED])).toEqual([false, true]);
  const receiving = await rotate({ target: "receive" });
  expect([receiving.body.secret, "forwardSecret" in receiving.body]).toEqual([expect.stringMatching(GENERATED), false]);
});

/** Receives an event under the inbound secret and tells which outbound secrets sign its delivery. */
async function signers(secrets: readonly string[]): Promise<boolean[]> {
  const before = destination.arrivals.length;
  expect(await receive(webhook.secret)).toBe(200);
  const arrival = (await destination.arrived(before + 1))[before];
  const headers = arrival?.headers as Record<string, string>;
  const [, body] = [headers, arrival?.body ?? ""];
  return secrets.map((secret) => isSignedBy(secret, headers, body));
}

function isSignedBy(secret: string, headers: Record<string, string>, body: string | Buffer): boolean {
  const at = new Date(Number(headers["webhook-timestamp"]) * 1000);
  const expected = new StandardWebhook(secret).sign(headers["webhook-id"] ?? "", at, body.toString());
  return (headers["webhook-signature"] ?? "").split(" ").includes(expected);
}

test.each<[object, string]>([
  [{ gracePeriodSeconds: -1 }, "gracePeriodSeconds int32.gte_lte"],
  [{ gracePeriodSeconds: 604_801 }, "gracePeriodSeconds int32.gte_lte"],
  [{ gracePeriodSeconds: 1.5 }, "gracePeriodSeconds type"],
  [{ target: "outbound" }, "target string.in"],
  [{ secret: "" }, "secret string.min_len"],
  [{ secret: "x".repeat(4_097) }, "secret string.max_len"],
  [{ secret: " padded " }, "secret secret"],
  [{ target: "forward", secret: "not base64" }, "secret secret"],
  [{ target: "forward", secret: "whsec_c2hvcnQ=" }, "secret secret"],
  [{ grace: 1 }, "grace unknown"],
])("rotate refuses %j, and the secret stays", async (body, field) => {
  expect(refusal(await rotate(body))).toEqual(badRequest(field));
  expect(await receive(webhook.secret)).toBe(200);
});

test("a secret that the source cannot use is refused on create without being quoted", async () => {
  const fields = { name: "w", source: "standardwebhooks", secret: "not-base64-at-all" };
  const answer = await service.api.post("/webhooks", fields);
  expect(refusal(answer)).toEqual(badRequest("secret secret"));
  expect(JSON.stringify(answer.body)).not.toContain(fields.secret);
});

test("PATCH takes the secret in force as unchanged and refuses another", async () => {
  const same = await service.api.patch(`/webhooks/${webhook.id}`, { secret: webhook.secret });
  expect([same.status, "secret" in same.body]).toEqual([200, false]);
  const other = await service.api.patch(`/webhooks/${webhook.id}`, { name: "changed", secret: "other" });
  expect(refusal(other)).toEqual(badRequest("secret rotate"));
  expect((await service.api.get(`/webhooks/${webhook.id}`)).body.name).toBe("w");
  expect(await receive(webhook.secret)).toBe(200);
});

test("a change of source takes a new secret along, and the old one stops", async () => {
  const patch = { source: "github", secret: "made by github" };
  const { status, body } = await service.api.patch(`/webhooks/${webhook.id}`, patch);
  expect([status, body.source]).toEqual([200, "github"]);
  expect([await receive(webhook.secret), await receive("made by github")]).toEqual([401, 200]);
});

test("a change of source needs a new secret where the old one is of no use to it", async () => {
  await rotate({ secret: "text only" });
  const refused = await service.api.patch(`/webhooks/${webhook.id}`, { source: "standardwebhooks" });
  expect(refusal(refused)).toEqual(badRequest("secret required"));
  expect((await service.api.get(`/webhooks/${webhook.id}`)).body.source).toBe("custom");
  const taken = await service.api.patch(`/webhooks/${webhook.id}`, { source: "standardwebhooks", secret: SUPPLIED });
  expect([taken.status, taken.body.source]).toEqual([200, "standardwebhooks"]);
  expect((await service.api.patch(`/webhooks/${webhook.id}`, { source: "custom" })).status).toBe(200);
  expect(await receive(SUPPLIED)).toBe(200);
});
