/** Deliveries with OAuth2 client credentials, against a real authorization server and a destination that checks tokens. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { startTokenServer, type TokenServer } from "../support/token-server.ts";
import { createForwardingWebhook, type ForwardingWebhook, outline } from "./forwarding.ts";

const CLIENT = { clientId: "gateway", clientSecret: "hunter2-hunter2" };
const clock = new ManualClock();
let service: TestService;
let destination: Destination;
let issuer: TokenServer;
let webhook: ForwardingWebhook;
/** Tokens that the destination takes no more. */
const revoked = new Set<string>();

beforeAll(async () => {
  service = await startService({ clock });
});
beforeEach(async () => {
  [destination, issuer] = [await startDestination(), await startTokenServer({ ...CLIENT, expiresIn: 100 })];
  destination.behave((arrival, response) => {
    const token = String(arrival.headers.authorization).replace("Bearer ", "");
    response.writeHead(issuer.issued.includes(token) && !revoked.has(token) ? 200 : 401).end(`seen: ${token}`);
  });
  webhook = await createForwardingWebhook(service, destination.url);
  await webhook.patch({ forwarding: { auth: { oauth2: { tokenUrl: issuer.url, ...CLIENT, scope: "hooks" } } } });
  return async () => {
    await Promise.all([destination.close(), issuer.close()]);
  };
});
afterAll(async () => {
  await service?.stop();
});

const deliver = async (n: number) => await webhook.settled(await webhook.sendEvent(`{"n":${n}}`), "succeeded");

test("one token serves many deliveries, and stands in no record", async () => {
  const done = [await deliver(1), await deliver(2), await deliver(3)];
  expect(destination.arrivals.map(({ headers }) => headers.authorization)).toEqual(
    Array(3).fill(`Bearer ${issuer.issued[0]}`),
  );
  expect(issuer.requests.map(({ form }) => form.get("scope"))).toEqual(["hooks"]);
  expect(done[0].attempts[0]).toMatchObject({
    requestHeaders: { authorization: "[redacted]" },
    responseBody: "seen: [redacted]",
  });
  expect((await webhook.read()).forwarding.auth).toEqual({
    oauth2: {
      ...{ tokenUrl: issuer.url, clientId: "gateway", clientSecret: "[redacted]" },
      ...{ scope: "hooks", audience: null, clientAuthentication: "basic" },
    },
  });
});

test("a token that has expired is replaced before anything is sent", async () => {
  await deliver(1);
  clock.advance(100_000);
  await deliver(2);
  expect(destination.arrivals.map(({ headers }) => headers.authorization)).toEqual(
    issuer.issued.map((token) => `Bearer ${token}`),
  );
  expect(issuer.issued).toHaveLength(2);
});

test("a token that is refused is replaced within the attempt, once", async () => {
  await deliver(1);
  clock.advance(1_000);
  revoked.add(issuer.issued[0] ?? "");
  const done = await deliver(2);
  expect(outline(done)).toEqual(["1 scheduled succeeded"]);
  expect(destination.arrivals.map(({ headers }) => headers.authorization)).toEqual(
    [0, 0, 1].map((index) => `Bearer ${issuer.issued[index]}`),
  );
  expect(destination.arrivals[1]?.body).toEqual(destination.arrivals[2]?.body);
});

test("a destination that refuses every token gets two requests of an attempt at most, and no new token each", async () => {
  await deliver(1);
  clock.advance(1_000);
  destination.behave((_arrival, response) => response.writeHead(401).end());
  const failed = await webhook.settled(await webhook.sendEvent('{"n":2}'), "pending", 2);
  expect(outline(failed)).toEqual(["1 scheduled http_status", "2 scheduled http_status"]);
  expect(failed.attempts[0]).toMatchObject({ statusCode: 401 });
  expect(destination.arrivals).toHaveLength(1 + 2 + 1);
  expect(issuer.issued).toHaveLength(2);
});

test("an issuer that fails is an attempt of its own kind, and is tried again", async () => {
  issuer.behave((response) => response.writeHead(503).end());
  const eventId = await webhook.sendEvent();
  const failed = await webhook.settled(eventId, "pending", 2);
  expect(outline(failed)).toEqual(["1 scheduled oauth2", "2 scheduled oauth2"]);
  expect(failed.attempts[0]).toMatchObject({
    ...{ statusCode: null, remoteAddress: null, willRetry: true },
    errorMessage: "The token endpoint answered with status 503.",
  });
  expect(destination.arrivals).toEqual([]);
  issuer.behave((_response, issue) => issue());
  clock.advance(10_000);
  await service.advanceQueue(2 * 3_600_000);
  expect(outline(await webhook.settled(eventId, "succeeded"))[2]).toBe("3 scheduled succeeded");
});

test("a changed secret holds for the next delivery, and a wrong one says what the issuer says", async () => {
  await deliver(1);
  await webhook.patch({
    forwarding: { auth: { oauth2: { tokenUrl: issuer.url, clientId: "gateway", clientSecret: "wrong-secret" } } },
  });
  const failed = await webhook.settled(await webhook.sendEvent('{"n":2}'), "pending", 2);
  expect(failed.attempts[0].errorMessage).toBe("The token endpoint answered with status 401 (invalid_client).");
  expect(JSON.stringify(failed)).not.toContain("wrong-secret");
});

test("the deadline of an attempt covers its token", async () => {
  const quick = await startService({ env: { DELIVERY_TIMEOUT_MS: "300" } });
  const waiting = await createForwardingWebhook(quick, destination.url);
  await waiting.patch({ forwarding: { auth: { oauth2: { tokenUrl: issuer.url, ...CLIENT } } } });
  issuer.behave(() => {});
  const failed = await waiting.settled(await waiting.sendEvent(), "pending", 2);
  expect(failed.attempts[0]).toMatchObject({
    errorCode: "oauth2",
    errorMessage: "The token endpoint did not answer before the attempt's deadline.",
  });
  await quick.stop();
});
