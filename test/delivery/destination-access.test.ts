/** Headers, Basic, bearer and API key: set by the API, sent to the destination, and read nowhere again. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { remember } from "../support/log.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, type ForwardingWebhook } from "./forwarding.ts";

const SECRET = "hunter2-hunter2";
const KEPT = "[redacted]";
const log = remember("trace");
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService({ logger: log.logger });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

/** What arrives of one more event. */
async function delivered(): Promise<Record<string, unknown>> {
  const before = destination.arrivals.length;
  await webhook.settled(await webhook.sendEvent(JSON.stringify({ n: before })), "succeeded");
  return destination.arrivals[before]?.headers ?? {};
}

const basicOf = (name: string, password: string) => `Basic ${Buffer.from(`${name}:${password}`).toString("base64")}`;

describe("what the destination sees", () => {
  test.each<[string, object, Record<string, string>, object]>([
    [
      "headers",
      { headers: { "X-Tenant": "acme", authorization: `Splunk ${SECRET}` } },
      { "x-tenant": "acme", authorization: `Splunk ${SECRET}` },
      { headers: { "x-tenant": KEPT, authorization: KEPT } },
    ],
    [
      "Basic",
      { auth: { basic: { username: "zażółć", password: SECRET } } },
      { authorization: basicOf("zażółć", SECRET) },
      { auth: { basic: { username: "zażółć", password: KEPT } } },
    ],
    [
      "a bearer token",
      { auth: { bearer: { token: SECRET } } },
      { authorization: `Bearer ${SECRET}` },
      { auth: { bearer: { token: KEPT } } },
    ],
    [
      "an API key",
      { auth: { apiKey: { name: "X-Api-Key", value: SECRET } } },
      { "x-api-key": SECRET },
      { auth: { apiKey: { name: "x-api-key", value: KEPT } } },
    ],
    [
      "several together",
      { headers: { "x-a": "1" }, auth: { bearer: { token: SECRET } } },
      { "x-a": "1", authorization: `Bearer ${SECRET}` },
      { headers: { "x-a": KEPT }, auth: { bearer: { token: KEPT } } },
    ],
  ])("%s, from the next event on", async (_what, forwarding, arrives, shows) => {
    const changed = await webhook.patch({ forwarding });
    expect(changed.forwarding).toMatchObject(shows);
    expect(await delivered()).toMatchObject(arrives);
    expect((await webhook.read()).forwarding).toMatchObject(shows);
    const listed = (await service.api.get("/webhooks?limit=1")).body.items[0];
    expect(listed.forwarding).toEqual(changed.forwarding);
  });

  test("on creating, as on changing", async () => {
    const created = await service.api.post("/webhooks", {
      name: "with credentials",
      url: destination.url,
      forwarding: { headers: { "x-a": SECRET }, auth: { bearer: { token: SECRET } }, ed25519: true },
    });
    expect(created.status).toBe(201);
    expect(created.body.forwarding).toMatchObject({
      ...{ state: "active", headers: { "x-a": KEPT }, auth: { bearer: { token: KEPT } }, ed25519: true },
      publicKeys: [expect.stringMatching(/^whpk_/)],
    });
    expect(JSON.stringify(created.body)).not.toContain(SECRET);
  });

  test("a header takes the place of the provider's of that name", async () => {
    await webhook.patch({ forwarding: { headers: { "x-custom": "ours", "user-agent": "agent/1" } } });
    await webhook.settled(await webhook.sendEvent("{}", { "x-custom": "theirs" }), "succeeded");
    expect(destination.arrivals[0]?.headers).toMatchObject({ "x-custom": "ours", "user-agent": "agent/1" });
  });

  test("nothing without them", async () => {
    const headers = await delivered();
    expect(headers).not.toHaveProperty("authorization");
    expect((await webhook.read()).forwarding).toEqual({
      ...{ state: "active", reason: null, stoppedAt: null, headers: {}, auth: null, clientCertificate: null },
      ...{ circuit: { state: "closed", openedAt: null, nextProbeAt: null } },
      ...{ ed25519: false, publicKeys: [], failingSince: null },
    });
  });
});

describe("changing them", () => {
  beforeEach(async () => {
    await webhook.patch({
      forwarding: {
        headers: { "x-a": "one-one", "x-b": "two-two" },
        auth: { basic: { username: "u", password: SECRET } },
      },
    });
  });

  test("sending back what was read changes nothing", async () => {
    const before = await webhook.read();
    const { updatedAt: _, ...after } = await webhook.patch(before);
    expect(before).toMatchObject(after);
    expect(await delivered()).toMatchObject({
      "x-a": "one-one",
      "x-b": "two-two",
      authorization: basicOf("u", SECRET),
    });
  });

  test("headers are replaced all at once, redacted ones as they were", async () => {
    const { forwarding } = await webhook.patch({ forwarding: { headers: { "x-b": KEPT, "x-c": "three" } } });
    expect(forwarding).toMatchObject({ headers: { "x-b": KEPT, "x-c": KEPT }, auth: { basic: { username: "u" } } });
    const headers = await delivered();
    expect(headers).toMatchObject({ "x-b": "two-two", "x-c": "three", authorization: basicOf("u", SECRET) });
    expect(headers).not.toHaveProperty("x-a");
  });

  test("a part of the authentication can change while its secret stays", async () => {
    await webhook.patch({ forwarding: { auth: { basic: { username: "v", password: KEPT } } } });
    expect(await delivered()).toMatchObject({ authorization: basicOf("v", SECRET) });
  });

  test("null ends each", async () => {
    const { forwarding } = await webhook.patch({ forwarding: { headers: null, auth: null } });
    expect(forwarding).toMatchObject({ headers: {}, auth: null });
    const headers = await delivered();
    for (const name of ["x-a", "x-b", "authorization"]) expect(headers).not.toHaveProperty(name);
    const { rows } = await service.pool.query("select purpose from webhook_secrets where webhook_id = $1", [
      webhook.id,
    ]);
    expect(rows.map(({ purpose }) => purpose).sort()).toEqual(["forward", "receive"]);
  });

  test("stopping and resuming leaves them alone", async () => {
    await webhook.patch({ forwarding: { state: "stopped" } });
    const { forwarding } = await webhook.patch({ forwarding: { state: "active" } });
    expect(forwarding).toMatchObject({ headers: { "x-a": KEPT }, auth: { basic: { password: KEPT } } });
  });

  test("another origin gets none of them, unless they are sent again", async () => {
    const elsewhere = await startDestination();
    const refused = await service.api.patch(`/webhooks/${webhook.id}`, { url: elsewhere.url });
    expect([refused.status, refused.body.error.details[0]]).toEqual([
      400,
      expect.objectContaining({ field: "forwarding.headers", rule: "origin" }),
    ]);
    expect(await delivered()).toMatchObject({ authorization: basicOf("u", SECRET) });
    await webhook.patch({ url: null });
    const again = await service.api.patch(`/webhooks/${webhook.id}`, { url: elsewhere.url });
    expect(again.status).toBe(400);
    await webhook.patch({
      url: elsewhere.url,
      forwarding: { headers: null, auth: { bearer: { token: "other-token" } } },
    });
    await webhook.sendEvent('{"elsewhere":true}');
    const [arrival] = await elsewhere.arrived(1);
    expect(arrival?.headers.authorization).toBe("Bearer other-token");
    expect(arrival?.headers).not.toHaveProperty("x-a");
    await elsewhere.close();
  });

  test.each<[object, string, string]>([
    [{ headers: { "webhook-id": "x" } }, 'forwarding.headers["webhook-id"]', "headers.name"],
    [{ headers: { "x-z": KEPT } }, 'forwarding.headers["x-z"]', "redacted"],
    [{ headers: { "x-a": "a\r\nb: c" } }, 'forwarding.headers["x-a"]', "headers.value"],
    [{ headers: { authorization: "x" } }, 'forwarding.headers["authorization"]', "contradiction"],
    [{ auth: {} }, "forwarding.auth", "required"],
    [{ auth: { bearer: { token: KEPT } } }, "forwarding.auth.bearer.token", "redacted"],
    [
      { auth: { oauth2: { tokenUrl: "http://10.0.0.1/", clientId: "i", clientSecret: SECRET } } },
      "forwarding.auth.oauth2.tokenUrl",
      "url.private_address",
    ],
    [{ clientCertificate: { certificate: "x", key: SECRET } }, "forwarding.clientCertificate.certificate", "pem"],
  ])("%j is refused", async (forwarding, field, rule) => {
    const refused = await service.api.patch(`/webhooks/${webhook.id}`, { forwarding });
    expect([refused.status, refused.body.error.details]).toEqual([400, [expect.objectContaining({ field, rule })]]);
    expect(JSON.stringify(refused.body)).not.toContain(SECRET);
    expect(await delivered()).toMatchObject({ "x-a": "one-one", authorization: basicOf("u", SECRET) });
  });
});

describe("what is kept", () => {
  test("an attempt shows the names only, and the answer of a destination that repeats them nothing", async () => {
    await webhook.patch({
      forwarding: { headers: { "x-a": "value-of-a" }, auth: { basic: { username: "u", password: SECRET } } },
    });
    destination.behave((arrival, response) => {
      response.writeHead(200, { "x-echo": String(arrival.headers.authorization), "x-plain": "plain" });
      response.end(JSON.stringify({ headers: arrival.headers, password: SECRET, bytes: "\u00ff" }));
    });
    const { attempts } = await webhook.settled(await webhook.sendEvent(), "succeeded");
    const [attempt] = attempts;
    const { authorization: _, "x-a": __, ...others } = destination.arrivals[0]?.headers ?? {};
    expect(attempt.requestHeaders).toMatchObject({ "x-a": KEPT, authorization: KEPT });
    expect(Object.keys(attempt.requestHeaders).sort()).toEqual([...Object.keys(others), "authorization", "x-a"].sort());
    expect(attempt.responseHeaders).toMatchObject({ "x-echo": KEPT, "x-plain": "plain" });
    const body = JSON.parse(attempt.responseBody);
    expect(body).toMatchObject({ headers: { "x-a": KEPT, authorization: KEPT }, password: KEPT, bytes: "\u00ff" });
    expect(JSON.stringify(attempts)).not.toMatch(/hunter2|value-of-a/);
  });

  test("no table and no line of the log holds a secret", async () => {
    await webhook.patch({ forwarding: { headers: { "x-a": SECRET }, auth: { bearer: { token: `${SECRET}-token` } } } });
    await delivered();
    const { rows: tables } = await service.pool.query<{ name: string }>(
      "select format('%I', tablename) as name from pg_tables where schemaname = 'public'",
    );
    for (const { name } of tables) {
      const { rows } = await service.pool.query<{ text: string }>(`select t::text as text from ${name} t`);
      const found = rows.filter(
        ({ text }) => text.includes(SECRET) || text.includes(Buffer.from(SECRET).toString("hex")),
      );
      expect([name, found]).toEqual([name, []]);
    }
    expect(log.lines.join("")).not.toContain("hunter2");
  });

  test("credentials that cannot be opened are an internal error, and nothing is sent without them", async () => {
    await webhook.patch({ forwarding: { auth: { bearer: { token: SECRET } } } });
    await service.pool.query(
      "update webhook_secrets set sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) where webhook_id = $1 and purpose = 'auth'",
      [webhook.id],
    );
    await webhook.patch({ name: "read anew" });
    const failed = await webhook.settled(await webhook.sendEvent(), "pending", 2);
    expect(failed.attempts[0]).toMatchObject({ errorCode: "internal", requestHeaders: {} });
    expect(destination.arrivals).toEqual([]);
    await webhook.patch({ forwarding: { auth: { bearer: { token: `${SECRET}-2` } } } });
    expect(await delivered()).toMatchObject({ authorization: `Bearer ${SECRET}-2` });
  });
});
