/** The vectors, made by vendors' code, printed in their docs or computed, posted to a service whose clock stands at their time. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findSource } from "../../src/signature/source.ts";
import { schemeOf, secretOf, sourceOf, timeOf, VECTORS, type Vector, vectorOf } from "../signature/vectors.ts";
import { send } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { createWebhook, eventsOf, readEvent } from "./senders.ts";

const clock = new ManualClock();
let service: TestService;

beforeAll(async () => {
  service = await startService({ clock });
});
afterAll(async () => {
  await service?.stop();
});

/** Posts the vector `offset` seconds after its own time to a new webhook that has its secret. */
async function post(vector: Vector, source: string, offset: number, suffix = "") {
  clock.advance(timeOf(vector) + offset * 1_000 - clock.now());
  const webhook = await createWebhook(service.api, { source, secret: secretOf(vector) });
  return { webhook, answer: await send(webhook.receiveUrl, `${vector.body}${suffix}`, vector.headers) };
}

const HANDSHAKE = "zoom-url-validation";
/** Not here: what was signed for another URL than this webhook's, what needs a key of the vendor's, and what is no event. */
const postable = VECTORS.filter(
  ({ url, jwk, publicKeyPem, provider }) => !url && !jwk && !publicKeyPem && provider !== HANDSHAKE,
);

test("a handshake is answered and not recorded", async () => {
  const vector = vectorOf(HANDSHAKE);
  const { webhook, answer } = await post(vector, sourceOf(vector), 0);
  const { plainToken } = JSON.parse(vector.body).payload;
  const encryptedToken = createHmac("sha256", secretOf(vector)).update(plainToken).digest("hex");
  expect([answer.status, answer.body]).toEqual([200, { plainToken, encryptedToken }]);
  expect(await eventsOf(service.api, webhook)).toEqual([]);
});

test.each(postable.map((vector, index) => [`${vector.provider} (${index})`, vector] as const))(
  "%s",
  async (_, vector) => {
    const { webhook, answer } = await post(vector, sourceOf(vector), 0);
    const { status = 200, body, forForms } = findSource(sourceOf(vector)).success ?? {};
    expect(answer.status, JSON.stringify(answer.body)).toBe(forForms ? 200 : status);
    const [recorded] = await eventsOf(service.api, webhook);
    const event = await readEvent(service.api, recorded?.id ?? "");
    expect(event).toMatchObject({
      payload: vector.body,
      verified: true,
      scheme: schemeOf(vector).name,
      synthetic: false,
    });
    expect(Date.parse(event.receivedAt)).toBe(clock.now());
    if (status === 200 && body === undefined) expect(answer.body).toMatchObject({ received: true, eventId: event.id });
    const shown = JSON.stringify(event.headers);
    if (["token", "basic"].includes(schemeOf(vector).kind)) expect(shown).not.toContain(secretOf(vector));
  },
);

const timed: [provider: string, source: string, offset: number, status: number][] = [
  ["stripe", "stripe", 300, 200],
  ["stripe", "stripe", 301, 401],
  ["stripe", "stripe", -3_600, 200],
  ["github", "custom", 0, 200],
  ["standardwebhooks", "standardwebhooks", 300, 200],
  ["standardwebhooks", "standardwebhooks", 301, 401],
  ["standardwebhooks", "standardwebhooks", -300, 200],
  ["standardwebhooks", "standardwebhooks", -301, 401],
  ["standardwebhooks", "custom", 0, 200],
  ["standardwebhooks", "custom", 301, 401],
  ["standardwebhooks-published", "custom", 0, 200],
  ["slack", "slack", 301, 401],
];

test.each(timed)("%s at a %s webhook, %i s after its time: %i", async (provider, source, offset, status) => {
  const { webhook, answer } = await post(vectorOf(provider), source, offset);
  expect(answer.status, JSON.stringify(answer.body)).toBe(status);
  if (status !== 401) return;
  expect(answer.body.error.message).toMatch(/^timestamp 301 s (old|ahead)/);
  expect(await eventsOf(service.api, webhook)).toEqual([]);
});

test.each(["stripe", "github", "github-docs-example", "standardwebhooks", "discord", "sendgrid", "livekit"])(
  "%s with one byte more: 401",
  async (provider) => {
    const vector = vectorOf(provider);
    const { webhook, answer } = await post(vector, sourceOf(vector), 0, " ");
    expect(answer.status).toBe(401);
    expect(await eventsOf(service.api, webhook)).toEqual([]);
  },
);
