/** Webhooks of source `system`: what they are like, and that nothing is sent to them. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Answer, send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";

let service: TestService;
let id: string;

beforeAll(async () => {
  service = await startService();
  const created = await service.api.post("/webhooks", { name: "Operations", source: "System" });
  expect(created.status).toBe(201);
  id = created.body.id;
});
afterAll(async () => {
  await service?.stop();
});

const fields = ({ body }: Answer): string[] => body.error.details.map(({ field }: { field: string }) => field);

test("it has neither a receive URL nor a secret, but a forward secret", async () => {
  const { status, body } = await service.api.post("/webhooks", { name: "More", source: "sys-tem" });
  expect(status).toBe(201);
  expect(body).toMatchObject({ source: "system", receiveUrl: "", url: "", forwardSecret: expect.any(String) });
  expect(body).not.toHaveProperty("secret");
  const listed = await service.api.get("/webhooks?source=SYSTEM");
  expect(listed.body.items.map((one: { id: string }) => one.id)).toEqual([body.id, id]);
  // What the API gave out may be sent back.
  const again = await service.api.patch(`/webhooks/${id}`, (await service.api.get(`/webhooks/${id}`)).body);
  expect(again.status).toBe(200);
  await service.api.delete(`/webhooks/${body.id}`);
});

test("posting to it is answered with the reason, by every protocol, and leaves no trace", async () => {
  const url = `${service.url}/api/v1/webhooks/receive/${id}`;
  const message = expect.stringContaining("its source is system");
  const posted = await send(url, '{"type":"delivery.exhausted"}', {});
  expect(posted).toMatchObject({ status: 404, body: { error: { code: "NOT_FOUND", message } } });
  const seen = await fetch(url);
  expect(seen.status).toBe(404);
  const called = await fetch(`${service.url}/alumia.webhooks.v1.ReceiveService/Receive`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ webhookId: id, body: { contentType: "application/json", data: btoa("{}") } }),
  });
  expect(await called.json()).toMatchObject({ code: "not_found", message });
  expect((await service.api.get(`/webhooks/${id}/events`)).body.items).toEqual([]);
  expect((await service.api.get(`/webhooks/${id}/rejections`)).body.items).toEqual([]);
});

test.each([
  ["a secret", { secret: "a-shared-secret" }, ["secret"]],
  ["settings of verification", { verification: { scheme: "none" } }, ["verification"]],
])("%s is refused", async (_what, settings, expected) => {
  const created = await service.api.post("/webhooks", { name: "x", source: "system", ...settings });
  expect(created.status).toBe(400);
  expect(fields(created)).toEqual(expected);
  const { secret: _, ...patch } = settings as { secret?: string };
  if (Object.keys(patch).length > 0) {
    const patched = await service.api.patch(`/webhooks/${id}`, patch);
    expect(patched.status).toBe(400);
    expect(fields(patched)).toEqual(expected);
  }
});

test("its source stays, and no other becomes it", async () => {
  const away = await service.api.patch(`/webhooks/${id}`, { source: "github" });
  expect(away.status).toBe(400);
  expect(fields(away)).toEqual(["source"]);
  const other = await service.api.post("/webhooks", { name: "other" });
  const to = await service.api.patch(`/webhooks/${other.body.id}`, { source: "system" });
  expect(to.status).toBe(400);
  expect(fields(to)).toEqual(["source"]);
  expect(await service.api.patch(`/webhooks/${id}`, { source: "system", name: "Ops" })).toMatchObject({ status: 200 });
});

test("there is no secret to rotate, or to capture; the forward secret rotates", async () => {
  const refused = await service.api.post(`/webhooks/${id}/rotate`, {});
  expect(refused.status).toBe(400);
  expect(fields(refused)).toEqual(["secret"]);
  expect(await service.api.post(`/webhooks/${id}/capture`)).toMatchObject({ status: 409 });
  const rotated = await service.api.post(`/webhooks/${id}/rotate`, { target: "forward" });
  expect(rotated.body.forwardSecret).toMatch(/^whsec_/);
});

test("a test event is recorded", async () => {
  const sent = await service.api.post("/webhooks/test", { webhookId: id, eventType: "delivery.exhausted" });
  expect(sent.status).toBe(200);
  const { body } = await service.api.get(`/webhooks/events/${sent.body.id ?? sent.body.eventId}`);
  expect(body).toMatchObject({ webhookId: id, type: "delivery.exhausted", synthetic: true, verified: true });
});

test("it stands for no provider", async () => {
  const { status, body } = await service.api.get("/sources/system");
  expect({ status, message: body.error.message }).toEqual({
    status: 404,
    message: "source system has no provider: its events are this service's own",
  });
});

test("an organization has ten at most", async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => service.api.post("/webhooks", { name: "x", source: "system" })),
  );
  const statuses = answers.map(({ status }) => status).sort();
  expect(statuses).toEqual([...Array(9).fill(201), ...Array(3).fill(409)]);
});
