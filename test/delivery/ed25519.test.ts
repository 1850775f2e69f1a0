/** The asymmetric signature of deliveries: its public key in the API, its rotation, its end. */
import { createPublicKey, verify } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Arrival, type Destination, startDestination } from "../support/destination.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook } from "./forwarding.ts";

const clock = new ManualClock();
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService({ clock });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

async function arrive(): Promise<Arrival> {
  const before = destination.arrivals.length;
  await webhook.sendEvent(JSON.stringify({ n: before }));
  const arrivals = await destination.arrived(before + 1);
  const arrival = arrivals[before];
  if (!arrival) throw new Error("nothing came");
  return arrival;
}

const signatures = ({ headers }: Arrival): string[] => String(headers["webhook-signature"]).split(" ");

/** How many signatures of the arrival hold under a public key, as a consumer finds out. */
function holding(arrival: Arrival, publicKey: string): number {
  const x = Buffer.from(publicKey.replace("whpk_", ""), "base64").toString("base64url");
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  const { headers, body } = arrival;
  const content = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  const values = signatures(arrival).filter((one) => one.startsWith("v1a,"));
  return values.filter((one) => verify(null, content, key, Buffer.from(one.slice(4), "base64"))).length;
}

test("signs beside the symmetric one, whose verifiers pass it over", async () => {
  expect(signatures(await arrive()).map((one) => one.split(",")[0])).toEqual(["v1"]);
  const { forwarding } = await webhook.patch({ forwarding: { ed25519: true } });
  expect(forwarding).toMatchObject({ ed25519: true, publicKeys: [expect.stringMatching(/^whpk_[A-Za-z0-9+/]{43}=$/)] });
  const arrival = await arrive();
  expect(signatures(arrival).map((one) => one.split(",")[0])).toEqual(["v1", "v1a"]);
  expect(holding(arrival, forwarding.publicKeys[0])).toBe(1);
  expect(holding({ ...arrival, body: Buffer.from("other") }, forwarding.publicKeys[0])).toBe(0);
  const verifier = new Webhook(webhook.forwardSecret);
  expect(() => verifier.verify(arrival.body, arrival.headers as Record<string, string>)).not.toThrow();
});

test("setting it again keeps its key; its end ends it at once; a new beginning makes a new key", async () => {
  const first = (await webhook.patch({ forwarding: { ed25519: true } })).forwarding.publicKeys;
  expect((await webhook.patch({ forwarding: { ed25519: true } })).forwarding.publicKeys).toEqual(first);
  expect((await webhook.patch({ forwarding: { ed25519: false } })).forwarding).toMatchObject({
    ed25519: false,
    publicKeys: [],
  });
  expect(signatures(await arrive())).toHaveLength(1);
  const second = (await webhook.patch({ forwarding: { ed25519: true } })).forwarding.publicKeys;
  expect(second).not.toEqual(first);
});

test("its rotation has a grace in which both keys sign and are shown, the new one first", async () => {
  const [old] = (await webhook.patch({ forwarding: { ed25519: true } })).forwarding.publicKeys;
  const rotated = await service.api.post(`/webhooks/${webhook.id}/rotate`, {
    target: "ed25519",
    gracePeriodSeconds: 60,
  });
  expect(rotated.status).toBe(200);
  const { publicKeys } = rotated.body.forwarding;
  expect([publicKeys.length, publicKeys[1]]).toEqual([2, old]);
  for (const name of ["secret", "forwardSecret"]) expect(rotated.body).not.toHaveProperty(name);
  const during = await arrive();
  expect([holding(during, publicKeys[0]), holding(during, old)]).toEqual([1, 1]);
  clock.advance(61_000);
  const after = await arrive();
  expect([holding(after, publicKeys[0]), holding(after, old)]).toEqual([1, 0]);
  expect((await webhook.read()).forwarding.publicKeys).toEqual([publicKeys[0]]);
});

test("a rotation without it, or with a key of one's own, is refused", async () => {
  const rotate = (body: object) => service.api.post(`/webhooks/${webhook.id}/rotate`, { target: "ed25519", ...body });
  const without = await rotate({});
  expect([without.status, without.body.error.details[0].field]).toEqual([400, "target"]);
  await webhook.patch({ forwarding: { ed25519: true } });
  const supplied = await rotate({ secret: "whsk_AAAA" });
  expect([supplied.status, supplied.body.error.details[0].field]).toEqual([400, "secret"]);
});
