/**
 * Nobody reaches another organization's rows, whatever the route: every route that takes an id, with every kind of id
 * of the other's, answers exactly as it does for an id that never existed, and changes nothing.
 */
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Answer, type Api, hubSignature, readAnswer, send } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { startService, type TestService } from "../support/service.ts";
import { notFound, refusal, unauthorized } from "./refusal.ts";
import { allServices, hasVariable, pathWith, type RestRoute, restRoutes } from "./routes.ts";

const CAPTURED = '{"verification_token":"secret_of_owner"}';
const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";

/** What a body must hold besides ids for the call to be a good one. */
const BODIES: Readonly<Record<string, object>> = {
  "WebhookService.UpdateWebhook": { name: "taken over", url: "https://thief.example.com/", status: "disabled" },
  "WebhookService.RotateWebhookSecret": { secret: "known to the thief" },
  "WebhookService.VerifySignature": { headers: {}, payload: "" },
};

const ROUTES = (await restRoutes()).filter((route) => !route.isPublic);
const OWNED = ROUTES.filter((route) => !route.isShared);
const WITH_PATH_ID = OWNED.filter(hasVariable);
const WITH_BODY_ID = OWNED.filter((route) => route.bodyIds.length > 0);
const LISTS = OWNED.filter((route) => route.method === "GET" && !hasVariable(route));

/** Ids of one organization's rows, one of each kind. */
interface Owned {
  readonly api: Api;
  readonly webhook: string;
  readonly receiveUrl: string;
  readonly event: string;
  readonly delivery: string;
  readonly job: string;
  readonly key: string;
  readonly name: string;
}

let service: TestService;
let destination: Destination;
let mine: Owned;
let theirs: Owned;

beforeAll(async () => {
  [service, destination] = await Promise.all([
    startService({ env: { DELIVERY_SCHEDULE: "0s,1h" } }),
    startDestination(),
  ]);
  destination.behave(answer(500));
  mine = await populate(await service.otherOrganization(), "name-of-mine");
  theirs = await populate(await service.otherOrganization(), "name-of-theirs");
});
afterAll(async () => {
  await Promise.all([service?.stop(), destination?.close()]);
});

/** A webhook with an event, a delivery that has failed once and waits, a rejection, and a window for a secret. */
async function populate(api: Api, name: string): Promise<Owned> {
  const webhook = (await api.post("/webhooks", { name, url: destination.url, source: "notion" })).body;
  const body = `{"type":"type-of-${name}"}`;
  const { "x-hub-signature-256": signature = "" } = hubSignature(webhook.secret, body);
  const event = (await send(webhook.receiveUrl, body, { "x-notion-signature": signature })).body.eventId;
  expect((await api.post(`/webhooks/${webhook.id}/capture`)).status).toBe(200);
  const delivery = await eventually("an attempt recorded", async () => {
    const [found] = (await api.get(`/webhooks/${webhook.id}/deliveries`)).body.items;
    return found?.status === "pending" && found.attemptCount === 1 && (found.id as string);
  });
  const filter = { webhookId: webhook.id, status: ["failed"] };
  const job = (await api.post("/webhooks/bulk-jobs", { action: "replay", filter })).body.id;
  // Not finished, and no step of it due.
  await service.pool.query(
    `update bulk_jobs set state = 'paused', finished_at = null, matched = 1, next_at = now() + interval '1 day'
     where id = $1`,
    [job],
  );
  await send(webhook.receiveUrl, body, {});
  await eventually("a rejection written", async () => {
    return (await api.get(`/webhooks/${webhook.id}/rejections`)).body.items.length === 1;
  });
  const key = (await api.post("/api-keys", { name })).body.id;
  return { api, webhook: webhook.id, receiveUrl: webhook.receiveUrl, event, delivery, job, key, name };
}

const idsOf = ({ webhook, event, delivery, job, key }: Owned) => [webhook, event, delivery, job, key];
const label = (route: RestRoute) => `${route.method} ${route.template}`;

function call(api: Api, route: RestRoute, pathId: string, bodyId: string): Promise<Answer> {
  const ids = Object.fromEntries(route.bodyIds.map((name) => [name, bodyId]));
  const body = route.hasBody ? { ...BODIES[route.rpc], ...ids } : undefined;
  return api.call(route.method, pathWith(route, pathId), body);
}

/** Every row of every table, but for when a key was last used. */
async function allRows(pool: Pool): Promise<Record<string, unknown[]>> {
  const tables = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relkind in ('r', 'p') and not relispartition
       and relnamespace = 'public'::regnamespace order by 1`,
  );
  const found: Record<string, unknown[]> = {};
  for (const { name } of tables.rows) {
    const { rows } = await pool.query(`select to_jsonb(t) - 'last_used_at' as row from ${name} t order by 1`);
    found[name] = rows;
  }
  return found;
}

test("every RPC is here, with a route", async () => {
  const rpcs = (await allServices()).flatMap((it) => it.methods.map((method) => `${it.name}.${method.name}`));
  expect([...new Set((await restRoutes()).map((route) => route.rpc))].sort()).toEqual(rpcs.sort());
  expect(ROUTES.length).toBeGreaterThanOrEqual(19);
  expect(WITH_PATH_ID.length).toBeGreaterThanOrEqual(12);
  expect(WITH_BODY_ID.map(label).sort()).toEqual(["POST /webhooks/test", "POST /webhooks/verify"]);
  const lists = ["/api-keys", "/webhooks", "/webhooks/bulk-jobs", "/webhooks/deliveries", "/webhooks/events"];
  expect(LISTS.map(label).sort()).toEqual(lists.map((path) => `GET ${path}`));
});

describe("an id of another organization is as good as none", () => {
  test.each([...WITH_PATH_ID, ...WITH_BODY_ID].map((route) => [label(route), route] as const))(
    "%s",
    async (_label, route) => {
      const before = await allRows(service.pool);
      const arrivals = destination.arrivals.length;
      const unknown = await call(mine.api, route, UNKNOWN_ID, UNKNOWN_ID);
      expect(refusal(unknown)).toEqual(notFound);
      for (const id of idsOf(theirs)) {
        const refused = await call(mine.api, route, id, id);
        expect([refused.status, refused.body]).toEqual([unknown.status, unknown.body]);
      }
      expect(await allRows(service.pool)).toEqual(before);
      expect(destination.arrivals).toHaveLength(arrivals);
    },
  );
});

describe("lists never show another organization's", () => {
  test.each(LISTS.map((route) => [label(route), route] as const))("%s", async (_label, route) => {
    const shown = await call(mine.api, route, "", "");
    expect(shown.status).toBe(200);
    const text = JSON.stringify(shown.body);
    expect(idsOf(mine).some((id) => text.includes(id))).toBe(true);
    for (const secret of [...idsOf(theirs), theirs.name, theirs.api.key]) expect(text).not.toContain(secret);
  });

  test.each(LISTS.map((route) => [label(route), route] as const))(
    "%s with a cursor of theirs",
    async (_label, route) => {
      const first = await theirs.api.get(`${route.template}?limit=1`);
      const id = first.body.items[0].id;
      const time = first.body.items[0].createdAt;
      const values = ["/webhooks", "/api-keys"].includes(route.template) ? [time, id] : [id];
      const cursor = Buffer.from(JSON.stringify(values)).toString("base64url");
      const paged = await mine.api.get(`${route.template}?cursor=${cursor}`);
      expect(paged.status).toBe(200);
      for (const theirId of idsOf(theirs)) expect(JSON.stringify(paged.body)).not.toContain(theirId);
    },
  );
});

describe("without a key", () => {
  test.each(ROUTES.map((route) => [label(route), route] as const))("%s is UNAUTHORIZED", async (_label, route) => {
    const before = await allRows(service.pool);
    for (const id of route.template.includes("{") ? idsOf(theirs) : [""]) {
      const bodies = route.hasBody ? ["{}", "{", JSON.stringify({ ...BODIES[route.rpc], webhookId: id })] : [undefined];
      for (const body of bodies) {
        const response = await fetch(`${service.url}/api/v1${pathWith(route, id)}`, {
          method: route.method,
          ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
        });
        expect(refusal(await readAnswer(response))).toEqual(unauthorized);
      }
    }
    expect(await allRows(service.pool)).toEqual(before);
  });
});

/** Last, because the owner's own calls delete. */
test("each of these routes answers its owner for one of the ids", async () => {
  const owner = await populate(await service.otherOrganization(), "owner");
  // What ends something comes last, the webhook's delete after all else.
  const order = (route: RestRoute) =>
    (route.method === "DELETE" || route.rpc.includes(".Cancel") ? 2 : 0) +
    (route.rpc.endsWith("DeleteWebhook") ? 1 : 0);
  const routes = [...WITH_PATH_ID, ...WITH_BODY_ID].sort((a, b) => order(a) - order(b));
  const patched = { "WebhookService.UpdateWebhook": { name: "by its owner" } } as const;
  for (const route of routes) {
    const body = route.rpc in patched ? patched["WebhookService.UpdateWebhook"] : undefined;
    const statuses: number[] = [];
    // There must be something to confirm.
    if (route.rpc.endsWith(".ConfirmSecretCapture")) await send(owner.receiveUrl, CAPTURED, {});
    for (const id of idsOf(owner)) {
      const made = body
        ? await owner.api.call(route.method, pathWith(route, id), body)
        : await call(owner.api, route, id, id);
      statuses.push(made.status);
    }
    expect([label(route), statuses.filter((status) => status === 200)]).toEqual([label(route), [200]]);
  }
});
