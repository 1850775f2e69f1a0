/** The guard as users meet it: when a url is set, and when its name turns private later. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { type DnsServer, startDnsServer } from "../support/dns-server.ts";
import { startService, type TestService } from "../support/service.ts";
import { createForwardingWebhook, outline } from "./forwarding.ts";

let service: TestService;
let destination: Destination;
let dns: DnsServer;
/** What every name resolves to now. */
let address = "127.0.0.1";

beforeAll(async () => {
  destination = await startDestination();
  dns = await startDnsServer(() => ({ addresses: [address] }));
  service = await startService({ resolver: dns.resolver });
});
afterAll(async () => {
  await service?.stop();
  await dns?.close();
  await destination?.close();
});

test("a name that turns private is retried as blocked, and delivered to once it is public again", async () => {
  const webhook = await createForwardingWebhook(service, `http://hooks.example.com:${destination.port}/`);
  expect(dns.questions).toEqual([]);
  destination.behave((_arrival, response) => response.writeHead(200, { connection: "close" }).end());
  await webhook.settled(await webhook.sendEvent('{"n":1}'), "succeeded");

  address = "169.254.169.254";
  const eventId = await webhook.sendEvent('{"n":2}');
  const blocked = await webhook.settled(eventId, "pending", 2);
  expect(outline(blocked)).toEqual(["1 scheduled blocked_address", "2 scheduled blocked_address"]);
  expect(JSON.stringify(blocked)).not.toContain("169.254");
  expect(blocked.attempts[1]).toMatchObject({ remoteAddress: null, statusCode: null });

  address = "127.0.0.1";
  await service.advanceQueue(7_200_000);
  await webhook.settled(eventId, "succeeded", 3);
  expect(destination.arrivals).toHaveLength(2);
});

test.each([
  ["http://169.254.169.254/latest/meta-data", "url.private_address"],
  ["http://[::ffff:a9fe:a9fe]/", "url.private_address"],
  ["http://0xa9fea9fe/", "url.private_address"],
  ["http://１０.0.0.1/", "url.private_address"],
  ["http://metadata.google.internal./", "url.reserved_name"],
  ["http://user@127.0.0.1/", "url.userinfo"],
])("the url %s is refused when it is set, with no name looked up", async (url, rule) => {
  const before = dns.questions.length;
  const webhook = await createForwardingWebhook(service, null);
  for (const answer of [
    await service.api.post("/webhooks", { name: "x", url }),
    await service.api.patch(`/webhooks/${webhook.id}`, { url }),
  ]) {
    expect([answer.status, answer.body.error.code]).toEqual([400, "BAD_REQUEST"]);
    expect(answer.body.error.details).toEqual([expect.objectContaining({ field: "url", rule })]);
  }
  expect(dns.questions).toHaveLength(before);
});
