/** Filters of the lists of events and deliveries: each finds what it must, all of it, and nothing of others'. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startService, type TestService } from "../support/service.ts";
import { type DeliveryRow, type EventRow, insertRows } from "./filter-scene.ts";
import { badRequest, notFound, refusal } from "./refusal.ts";

const START_MS = Date.now() - 3_600_000;
const time = (n: number) => new Date(START_MS + n * 1_000).toISOString();

let service: TestService;
let ids: { a: string; b: string; theirs: string };
let events: readonly EventRow[];
let deliveries: readonly DeliveryRow[];

beforeAll(async () => {
  // Several steps for a page.
  service = await startService({ limits: { scanStepRowsMax: 10 } });
  const other = await service.otherOrganization();
  const create = async (api = service.api) =>
    (await api.post("/webhooks", { name: "w", url: "https://consumer.example.com/" })).body.id;
  ids = { a: await create(), b: await create(), theirs: await create(other) };
  ({ events, deliveries } = await insertRows(service, [ids.a, ids.b], START_MS));
  await insertRows(service, [ids.theirs], START_MS);
});
afterAll(async () => {
  await service?.stop();
});

/** Ids of all pages, and whether a bound was met on the way. */
async function all(path: string, query: string, limit = 7) {
  const found: string[] = [];
  for (let cursor = ""; ; ) {
    const { status, body } = await service.api.get(`${path}?${query}&limit=${limit}&cursor=${cursor}`);
    expect([status, Object.keys(body)]).toEqual([200, ["items", "nextCursor", "hasMore"]]);
    found.push(...body.items.map((item: { id: string }) => item.id));
    if (!body.hasMore) return found;
    expect(body.items).toHaveLength(limit);
    cursor = body.nextCursor;
  }
}

const newestFirst = (rows: readonly { id: string }[]) => rows.map((row) => row.id).reverse();

const LIVE = ["pending", "delivering"];
const TROUBLE = ["failed", "paused", "canceled"];

const DELIVERY_FILTERS: readonly (readonly [string, (row: DeliveryRow) => boolean])[] = [
  ["", () => true],
  ...[...LIVE, ...TROUBLE, "succeeded"].map(
    (status) => [`status=${status}`, (row: DeliveryRow) => row.status === status] as const,
  ),
  ["status=failed&status=canceled", (row) => ["failed", "canceled"].includes(row.status)],
  ["status=pending&status=paused", (row) => ["pending", "paused"].includes(row.status)],
  ["status=delivering&status=failed&status=paused", (row) => ["delivering", "failed", "paused"].includes(row.status)],
  ["status=succeeded&status=pending", (row) => ["succeeded", "pending"].includes(row.status)],
  ["type=order.paid", (row) => row.type === "order.paid"],
  ["type=order.*", (row) => row.type?.startsWith("order.") === true],
  ["type=a%25b", (row) => row.type === "a%b"],
  ["type=a_b", (row) => row.type === "a_b"],
  ["type=*", () => true],
  ["errorCode=timeout", (row) => row.errorCode === "timeout"],
  ["errorCode=tls", () => false],
  ["errorCode=dns&status=failed", (row) => row.errorCode === "dns" && row.status === "failed"],
  [
    "errorCode=http_status&status=pending&status=succeeded",
    (row) => row.errorCode === "http_status" && row.status === "pending",
  ],
  ["errorCode=timeout&status=succeeded", () => false],
  [`since=${time(10)}`, (row) => row.atMs >= START_MS + 10_000],
  [`until=${time(10)}`, (row) => row.atMs < START_MS + 10_000],
  [
    `since=${time(20)}&until=${time(60)}&status=failed&type=order.*`,
    (row) =>
      row.atMs >= START_MS + 20_000 &&
      row.atMs < START_MS + 60_000 &&
      row.status === "failed" &&
      row.type?.startsWith("order.") === true,
  ],
];

describe.each(["of one webhook", "of the organization", "of the organization, by webhook"])(
  "deliveries %s",
  (which) => {
    const path = () => (which === "of one webhook" ? `/webhooks/${ids.a}/deliveries` : "/webhooks/deliveries");
    const scope = () => (which === "of the organization, by webhook" ? `webhookId=${ids.a}&` : "");
    const mine = () =>
      which === "of the organization" ? deliveries : deliveries.filter((it) => it.webhookId === ids.a);

    test.each(DELIVERY_FILTERS)("?%s", async (query, wanted) => {
      expect(await all(path(), `${scope()}${query}`)).toEqual(newestFirst(mine().filter(wanted)));
    });

    test("of one event, replays too", async () => {
      for (const event of events.slice(0, 12)) {
        const wanted = mine().filter((row) => row.eventId === event.id);
        expect(await all(path(), `${scope()}eventId=${event.id}`, 1)).toEqual(newestFirst(wanted));
        const failed = wanted.filter((row) => row.status === "failed");
        expect(await all(path(), `${scope()}eventId=${event.id}&status=failed`)).toEqual(newestFirst(failed));
      }
      const replayed = deliveries.filter((row) => row.replay);
      expect(replayed.length).toBeGreaterThan(10);
      for (const id of ["ffffffff-ffff-ffff-bfff-ffffffffffff", "00000000-0000-0000-8000-000000000000"]) {
        expect(await all(path(), `${scope()}eventId=${id}`)).toEqual([]);
      }
    });

    test.each([
      ["status=done", "status[0] string.in"],
      ["status=", "status[0] string.in"],
      ["status=failed&status=failed", "status repeated.unique"],
      ["type=", "type string.min_len"],
      ["type=a*", "type pattern"],
      ["errorCode=No%20code", "errorCode string.pattern"],
      ["since=yesterday", "since type"],
      ["since=2026-01-01", "since type"],
      ["since=2026-01-02T00:00:00Z&until=2026-01-02T00:00:00Z", "until range"],
      ["eventId=1", "eventId string.uuid"],
    ])("refuses ?%s", async (query, field) => {
      expect(refusal(await service.api.get(`${path()}?${scope()}${query}`))).toEqual(badRequest(field));
    });
  },
);

const EVENT_FILTERS: readonly (readonly [string, (row: EventRow) => boolean])[] = [
  ["", () => true],
  ["status=filtered", (row) => row.status === "filtered"],
  ["status=filtered&status=received", () => true],
  ["type=order.*", (row) => row.type?.startsWith("order.") === true],
  ["type=order", (row) => row.type === "order"],
  ["verified=true", (row) => row.verified],
  ["verified=false&type=order.paid", (row) => !row.verified && row.type === "order.paid"],
  ["sourceEventId=source_3", (row) => row.sourceEventId === "source_3"],
  [`since=${time(90)}`, (row) => row.atMs >= START_MS + 90_000],
  [`until=${time(5)}&status=received`, (row) => row.atMs < START_MS + 5_000 && row.status === "received"],
];

describe.each(["of one webhook", "of the organization", "of the organization, by webhook"])("events %s", (which) => {
  const path = () => (which === "of one webhook" ? `/webhooks/${ids.b}/events` : "/webhooks/events");
  const scope = () => (which === "of the organization, by webhook" ? `webhookId=${ids.b}&` : "");
  const mine = () => (which === "of the organization" ? events : events.filter((it) => it.webhookId === ids.b));

  test.each(EVENT_FILTERS)("?%s", async (query, wanted) => {
    expect(await all(path(), `${scope()}${query}`)).toEqual(newestFirst(mine().filter(wanted)));
  });

  test.each([
    ["status=failed", "status[0] string.in"],
    ["type=*.a", "type pattern"],
    ["verified=maybe", "verified type"],
    ["sourceEventId=", "sourceEventId string.min_len"],
    ["until=2026-13-01T00:00:00Z", "until type"],
    ["until=2026-01-01T00:00:00Z&since=2026-01-02T00:00:00Z", "until range"],
  ])("refuses ?%s", async (query, field) => {
    expect(refusal(await service.api.get(`${path()}?${scope()}${query}`))).toEqual(badRequest(field));
  });
});

test("another organization's webhook, event and delivery are as good as none", async () => {
  for (const path of ["/webhooks/events", "/webhooks/deliveries"]) {
    expect(refusal(await service.api.get(`${path}?webhookId=${ids.theirs}`))).toEqual(notFound);
    expect(refusal(await service.api.get(`${path}?webhookId=1`))).toEqual(badRequest("webhookId string.uuid"));
  }
  const { rows } = await service.pool.query("select event_id as id from deliveries where webhook_id = $1", [
    ids.theirs,
  ]);
  for (const { id } of rows) expect(await all("/webhooks/deliveries", `eventId=${id}`)).toEqual([]);
});

test("a bound that was met is told, and the cursor goes on", async () => {
  const bounded = await startService({ replicaOf: service, limits: { scanRowsMax: 10, scanStepRowsMax: 5 } });
  try {
    const found: string[] = [];
    let truncated = 0;
    for (let cursor = ""; ; ) {
      const { body } = await bounded.api.get(`/webhooks/${ids.a}/events?type=order&limit=2&cursor=${cursor}`);
      found.push(...body.items.map((item: { id: string }) => item.id));
      expect([undefined, true]).toContain(body.searchTruncated);
      if (body.searchTruncated) truncated += 1;
      if (!body.hasMore) break;
      cursor = body.nextCursor;
    }
    const wanted = events.filter((row) => row.webhookId === ids.a && row.type === "order");
    expect(found).toEqual(newestFirst(wanted));
    expect(truncated).toBeGreaterThan(2);
  } finally {
    await bounded.stop();
  }
});

test("what is left of a deleted webhook is not shown", async () => {
  const gone = (await service.api.post("/webhooks", { name: "w", url: "https://consumer.example.com/" })).body.id;
  const rows = await insertRows(service, [gone], START_MS + 7);
  const before = await all("/webhooks/deliveries", "status=failed", 100);
  expect(before).toContain(rows.deliveries.find((row) => row.status === "failed")?.id);
  await service.pool.query("delete from webhooks where id = $1", [gone]);
  expect(await all("/webhooks/deliveries", "", 100)).toEqual(newestFirst(deliveries));
  expect(await all("/webhooks/events", "", 100)).toEqual(newestFirst(events));
});
