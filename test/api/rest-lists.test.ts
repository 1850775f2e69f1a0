/** The lists over REST: order, limits, cursors to the end, filters. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Api, hubSignature, send } from "../support/api.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { startService, type TestService } from "../support/service.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const COUNT = 11;

let service: TestService;
/** Ids in the order in which each list must show them. */
const expected: Record<string, string[]> = {};
const paths: Record<string, string> = {};

interface Item {
  readonly id: string;
}

beforeAll(async () => {
  // Time stands still at first, so that only ids tell rows of the same moment apart.
  const clock = new ManualClock();
  service = await startService({ clock });
  const { api } = service;
  const webhooks = await repeat(COUNT, async (n) => {
    if (n === 6) clock.advance(1);
    const fields = { name: `w${n}`, source: n % 2 ? "github" : "stripe", status: n % 3 ? "paused" : "active" };
    return (await api.post("/webhooks", fields)).body;
  });
  const webhook = (await api.post("/webhooks", { name: "main", url: "https://consumer.example.com/", enabled: false }))
    .body;
  const events = await repeat(COUNT, async (n) => {
    const body = `{"type":"t${n}"}`;
    return (await send(webhook.receiveUrl, body, hubSignature(webhook.secret, body))).body.eventId;
  });
  const elsewhere = (await api.post("/webhooks/test", { webhookId: webhooks[0]?.id })).body.id;
  const replays = await repeat(COUNT, async () => {
    return (await api.post(`/webhooks/events/${events[0]}/replay`)).body.deliveries[0].id;
  });
  const received = await service.pool.query<Item>(
    "select id from deliveries where id <> all ($1::uuid[]) order by id desc",
    [replays],
  );
  await repeat(COUNT, async (n) => (await api.post("/api-keys", { name: `k${n}` })).body);
  const keys = await service.pool.query<Item>("select id from api_keys order by created_at desc, id desc");
  Object.assign(paths, {
    webhooks: "/webhooks",
    "events of a webhook": `/webhooks/${webhook.id}/events`,
    "recent events": "/webhooks/events",
    deliveries: `/webhooks/${webhook.id}/deliveries`,
    "recent deliveries": "/webhooks/deliveries",
    "API keys": "/api-keys",
  });
  const deliveries = [...replays.reverse(), ...received.rows.map(idOf)];
  const later = webhooks.slice(6).map(idOf).sort().reverse();
  const earlier = webhooks.slice(0, 6).map(idOf).sort().reverse();
  // The webhook of the events was created in the same millisecond as the later ones, and after them.
  Object.assign(expected, {
    webhooks: [webhook.id, ...later, ...earlier],
    "events of a webhook": [...events].reverse(),
    "recent events": [elsewhere, ...[...events].reverse()],
    deliveries,
    "recent deliveries": deliveries,
    "API keys": keys.rows.map(idOf),
  });
});
afterAll(async () => {
  await service?.stop();
});

const idOf = (item: Item) => item.id;

async function repeat<Result>(count: number, work: (n: number) => Promise<Result>): Promise<Result[]> {
  const results: Result[] = [];
  for (let n = 0; n < count; n++) results.push(await work(n));
  return results;
}

/** Follows the cursors to the end; the ids of each page. */
async function pages(api: Api, path: string, limit: number): Promise<string[][]> {
  const found: string[][] = [];
  let cursor = "";
  for (;;) {
    const { status, body } = await api.get(`${path}?limit=${limit}${cursor}`);
    expect([status, Object.keys(body)]).toEqual([200, ["items", "nextCursor", "hasMore"]]);
    found.push(body.items.map(idOf));
    expect(body.nextCursor === null).toBe(!body.hasMore);
    if (!body.hasMore) return found;
    cursor = `&cursor=${encodeURIComponent(body.nextCursor)}`;
  }
}

const LISTS = ["webhooks", "events of a webhook", "recent events", "deliveries", "recent deliveries", "API keys"];

describe.each(LISTS)("the list of %s", (list) => {
  const path = () => paths[list] ?? "";
  const ids = () => expected[list] ?? [];

  test.each([1, 4, COUNT])("in pages of %i: every item once, newest first", async (limit) => {
    const found = await pages(service.api, path(), limit);
    expect(found.flat()).toEqual(ids());
    expect(found.slice(0, -1).every((page) => page.length === limit)).toBe(true);
    expect(found.at(-1)?.length).toBeGreaterThan(0);
  });

  test("in one page: no next one", async () => {
    const { body } = await service.api.get(path());
    expect(body.items.map(idOf)).toEqual(ids());
    expect([body.nextCursor, body.hasMore]).toEqual([null, false]);
    expect((await service.api.get(`${path()}?limit=100`)).body.items).toHaveLength(ids().length);
    const exact = await service.api.get(`${path()}?limit=${ids().length}`);
    expect(exact.body).toEqual(body);
  });

  test("another organization has none", async () => {
    const other = await service.otherOrganization();
    const answer = await other.get(path());
    if (list === "API keys") expect(answer.body.items).toHaveLength(1);
    else if (path().split("/").length === 4) expect(refusal(answer)).toEqual(notFound);
    else expect(answer.body).toEqual({ items: [], nextCursor: null, hasMore: false });
  });

  test.each([
    ["limit=0", "limit int32.gte_lte"],
    ["limit=101", "limit int32.gte_lte"],
    ["limit=-1", "limit int32.gte_lte"],
    ["limit=1.5", "limit type"],
    ["limit=ten", "limit type"],
    ["limit=", "limit type"],
    ["limit=9999999999", "limit type"],
    ["limit=1&limit=2", "limit duplicate"],
    ["cursor=abc", "cursor cursor"],
    [`cursor=${"a".repeat(513)}`, "cursor string.max_len"],
    ["page=2", "page unknown"],
  ])("refuses ?%s", async (query, field) => {
    expect(refusal(await service.api.get(`${path()}?${query}`))).toEqual(badRequest(field));
  });

  test.each<[string, unknown]>([
    ["no JSON", "x"],
    ["no list", { id: 1 }],
    ["null", null],
    ["nothing", []],
    ["a number", [1]],
    ["a text that is no id", ["x"]],
    ["two texts that are none", ["x", "y"]],
    ["another date form", ["1", "01900000-0000-7000-8000-000000000000"]],
    ["a date that PostgreSQL has not", ["-271821-04-20T00:00:00.000Z", "01900000-0000-7000-8000-000000000000"]],
    ["a date past the calendar's", ["+275760-09-13T00:00:00.000Z", "01900000-0000-7000-8000-000000000000"]],
    ["a year that is none", ["0000-01-01T00:00:00.000Z", "01900000-0000-7000-8000-000000000000"]],
    ["a day that is none", ["2026-13-41T00:00:00.000Z", "01900000-0000-7000-8000-000000000000"]],
    ["a date with a quote", ["2026-01-01 (')", "01900000-0000-7000-8000-000000000000"]],
    ["an object for an id", ["2026-01-01T00:00:00.000Z", { $ne: null }]],
    ["an object for a date", [{ $ne: null }, "01900000-0000-7000-8000-000000000000"]],
    ["too many", ["2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z", "01900000-0000-7000-8000-000000000000"]],
  ])("refuses a forged cursor: %s", async (_what, value) => {
    const cursor = Buffer.from(JSON.stringify(value)).toString("base64url");
    const answer = await service.api.get(`${path()}?cursor=${cursor}`);
    expect(refusal(answer)).toEqual(badRequest("cursor cursor"));
  });

  test.each(["0001-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"])("takes a cursor at %s", async (time) => {
    const id = "01900000-0000-7000-8000-000000000000";
    const values = ["webhooks", "API keys"].includes(list) ? [time, id] : [id];
    const cursor = Buffer.from(JSON.stringify(values)).toString("base64url");
    expect((await service.api.get(`${path()}?cursor=${cursor}`)).status).toBe(200);
  });

  test("an empty cursor is the first page", async () => {
    expect((await service.api.get(`${path()}?cursor=`)).body.items.map(idOf)).toEqual(ids());
  });
});

test("a page that the cursor points into stays what it was when newer items come", async () => {
  const first = (await service.api.get("/api-keys?limit=4")).body;
  const { id } = (await service.api.post("/api-keys", { name: "newer" })).body;
  const rest = (await service.api.get(`/api-keys?limit=100&cursor=${first.nextCursor}`)).body.items.map(idOf);
  expect([...first.items.map(idOf), ...rest]).toEqual(expected["API keys"]);
  await service.api.delete(`/api-keys/${id}`);
});

test.each<[string, (n: number) => boolean]>([
  ["source=stripe", (n) => n % 2 === 0],
  ["source=github&status=active", (n) => n % 2 === 1 && n % 3 === 0],
  ["status=paused&source=stripe", (n) => n % 2 === 0 && n % 3 !== 0],
  ["status=disabled", () => false],
  ["source=Stripe%25", () => false],
])("webhooks filtered by ?%s, in pages", async (query, wanted) => {
  const names = Array.from({ length: COUNT }, (_, n) => n)
    .filter(wanted)
    .map((n) => `w${n}`);
  const found: string[] = [];
  let cursor = "";
  do {
    const { body } = await service.api.get(`/webhooks?${query}&limit=2&cursor=${cursor}`);
    found.push(...body.items.map((item: { name: string }) => item.name));
    cursor = body.nextCursor ?? "";
  } while (cursor !== "");
  expect(found.sort()).toEqual(names.sort());
});

test("deliveries filtered by status", async () => {
  const all = await service.api.get(`${paths.deliveries}?status=paused`);
  expect(all.body.items.map(idOf)).toEqual(expected.deliveries);
  expect((await service.api.get(`${paths.deliveries}?status=failed`)).body.items).toEqual([]);
});

test.each(["/webhooks?status=on", "/webhooks?status="])("refuses the filter of %s", async (path) => {
  expect(refusal(await service.api.get(path))).toEqual(badRequest("status string.in"));
});

test("lists of a webhook that is none", async () => {
  for (const kind of ["events", "deliveries"]) {
    const unknown = await service.api.get(`/webhooks/01900000-0000-7000-8000-000000000000/${kind}`);
    expect(refusal(unknown)).toEqual(notFound);
    expect(refusal(await service.api.get(`/webhooks/1/${kind}`))).toEqual(badRequest("webhookId string.uuid"));
  }
});
