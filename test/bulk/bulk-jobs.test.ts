/** Bulk jobs over REST: what they do to deliveries, what they count, and how they are steered. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { badRequest, conflict, notFound, refusal } from "../api/refusal.ts";
import { createForwardingWebhook, type ForwardingWebhook, msBetween, outline } from "../delivery/forwarding.ts";
import { createListener, tellNow } from "../delivery/operational-scene.ts";
import type { Answer } from "../support/api.ts";
import { answer, type Destination, startDestination } from "../support/destination.ts";
import { startService, type TestService } from "../support/service.ts";
import { createJob, jobIn, readJob, runJob } from "./jobs.ts";

const DAY_MS = 86_400_000;
const UNKNOWN_ID = "01900000-0000-7000-8000-000000000000";
let service: TestService;
let destination: Destination;
let webhook: ForwardingWebhook;

beforeAll(async () => {
  service = await startService({ limits: { bulkMatchesMax: 5, bulkJobsMax: 3 } });
});
beforeEach(async () => {
  destination = await startDestination();
  webhook = await createForwardingWebhook(service, destination.url);
  return async () => await destination.close();
});
afterAll(async () => {
  await service?.stop();
});

const mine = (more: object = {}) => ({ webhookId: webhook.id, ...more });
const control = (id: string, verb: string) => service.api.post(`/webhooks/bulk-jobs/${id}/${verb}`);

/** Events whose deliveries have failed twice and wait. */
async function failing(count: number): Promise<string[]> {
  destination.behave(answer(500));
  const ids: string[] = [];
  for (let n = 0; n < count; n++) ids.push(await webhook.sendEvent());
  for (const id of ids) await webhook.settled(id, "pending", 2);
  return ids;
}

test("retry: one more try of each, and the schedule goes on where it was", async () => {
  const ids = await failing(3);
  const before = await Promise.all(ids.map((id) => webhook.deliveryOf(id)));
  const job = await runJob(service.api, { action: "retry", filter: mine({ errorCode: "http_status" }) });
  expect(job).toMatchObject({ matched: 3, done: 3, skipped: 0, skipReasons: {}, finishedAt: expect.any(String) });
  for (const [n, id] of ids.entries()) {
    const after = await webhook.settled(id, "pending", 3);
    expect(outline(after).slice(1)).toEqual(["2 scheduled http_status", "3 bulk http_status"]);
    expect(Math.abs(msBetween(before[n].nextAttemptAt, after.nextAttemptAt))).toBeLessThan(1_000);
  }
  await service.advanceQueue(DAY_MS);
  for (const id of ids) expect(outline(await webhook.settled(id, "pending", 4))[3]).toBe("4 scheduled http_status");
});

test("retry: failed and canceled ones too, and nothing that has succeeded unless it is named", async () => {
  const succeeded = await webhook.sendEvent();
  await webhook.settled(succeeded, "succeeded");
  const [canceled = "", failed = ""] = await failing(2);
  await service.api.post(`/webhooks/deliveries/${(await webhook.deliveryOf(canceled)).id}/cancel`);
  await service.advanceQueue(DAY_MS);
  await webhook.settled(failed, "pending", 3);
  await service.advanceQueue(DAY_MS);
  await webhook.settled(failed, "failed", 4);
  destination.behave(answer(200));
  expect(await runJob(service.api, { action: "retry", filter: mine() })).toMatchObject({ matched: 2, done: 2 });
  expect(outline(await webhook.settled(failed, "succeeded")).at(-1)).toBe("5 bulk succeeded");
  expect(outline(await webhook.settled(canceled, "succeeded")).at(-1)).toBe("3 bulk succeeded");
  expect(outline(await webhook.deliveryOf(succeeded))).toEqual(["1 scheduled succeeded"]);
  expect(await runJob(service.api, { action: "retry", filter: mine({ status: ["succeeded"] }) })).toMatchObject({
    matched: 3,
    done: 3,
  });
  expect(outline(await webhook.settled(succeeded, "succeeded", 2))[1]).toBe("2 bulk succeeded");
});

test("replay: a new delivery of each, which follows the schedule; the old one stays as it is", async () => {
  const ids = [await webhook.sendEvent(), await webhook.sendEvent()];
  for (const id of ids) await webhook.settled(id, "succeeded");
  const old = await Promise.all(ids.map((id) => webhook.deliveryOf(id)));
  destination.behave(answer(500));
  expect(await runJob(service.api, { action: "replay", filter: mine() })).toMatchObject({ matched: 2, done: 2 });
  await destination.arrived(6);
  for (const [n, id] of ids.entries()) {
    const [first, second, ...more] = await webhook.deliveriesOf(id);
    expect([first, more]).toEqual([old[n], []]);
    expect(outline(second)[0]).toBe("1 bulk http_status");
    expect(second.attempts[1]?.trigger ?? "scheduled").toBe("scheduled");
  }
});

test("replay to a paused webhook is held, and released by its resume", async () => {
  const id = await webhook.sendEvent();
  await webhook.settled(id, "succeeded");
  await webhook.patch({ status: "paused" });
  expect(await runJob(service.api, { action: "replay", filter: mine() })).toMatchObject({ done: 1 });
  expect((await webhook.deliveriesOf(id))[1]).toMatchObject({ status: "paused", attempts: [] });
  await webhook.patch({ status: "active" });
  await destination.arrived(2);
});

test("cancel: what waits or is held ends, what is finished is not even looked at", async () => {
  const done = await webhook.sendEvent();
  await webhook.settled(done, "succeeded");
  const [waiting = ""] = await failing(1);
  expect(await runJob(service.api, { action: "cancel", filter: mine() })).toMatchObject({ matched: 1, done: 1 });
  expect(await webhook.deliveryOf(waiting)).toMatchObject({ status: "canceled", nextAttemptAt: null });
  expect(await webhook.deliveryOf(done)).toMatchObject({ status: "succeeded" });
  await service.advanceQueue(DAY_MS);
  expect(destination.arrivals).toHaveLength(3);
});

test("what is under way, or whose webhook takes nothing, is skipped with its reason", async () => {
  const answers: (() => void)[] = [];
  destination.behave((_arrival, response) => void answers.push(() => response.end()));
  const underWay = await webhook.sendEvent();
  await destination.arrived(1);
  const retried = await runJob(service.api, { action: "retry", filter: mine() });
  expect(retried).toMatchObject({ matched: 1, done: 0, skipped: 1, skipReasons: { under_way: 1 } });
  const canceled = await runJob(service.api, { action: "cancel", filter: mine({ status: ["delivering"] }) });
  expect(canceled).toMatchObject({ done: 0, skipReasons: { under_way: 1 } });
  for (const finish of answers) finish();
  expect(outline(await webhook.settled(underWay, "succeeded"))).toEqual(["1 scheduled succeeded"]);
  const reasons: [object, string, string][] = [
    [{ status: "paused" }, "retry", "paused"],
    [{ status: "active", forwarding: { state: "stopped" } }, "retry", "stopped"],
    [{ url: null }, "replay", "no_url"],
  ];
  for (const [patch, action, reason] of reasons) {
    await webhook.patch(patch);
    const job = await runJob(service.api, { action, filter: mine({ status: ["succeeded"] }) });
    expect(job).toMatchObject({ matched: 1, done: 0, skipReasons: { [reason]: 1 } });
  }
});

test("a dry run counts exactly, and leaves nothing behind", async () => {
  await failing(2);
  const since = new Date(Date.now() - 60_000).toISOString();
  const filter = mine({ status: ["pending"], type: "order.*", since });
  const dry = await service.api.post("/webhooks/bulk-jobs", { action: "cancel", filter, dryRun: true });
  expect(dry.body).toEqual({
    ...{ id: null, action: "cancel", state: "dry_run", ratePerSecond: 100, matched: 2, done: 0, skipped: 0 },
    ...{ skipReasons: {}, createdAt: null, updatedAt: null, finishedAt: null },
    filter: { ...filter, errorCode: null, until: null, eventId: null },
  });
  const { rows } = await service.pool.query("select 1 from bulk_jobs where filter->>'webhookId' = $1", [webhook.id]);
  expect(rows).toEqual([]);
  const none = await runJob(service.api, { action: "cancel", filter: mine({ errorCode: "dns" }) });
  expect(none).toMatchObject({ state: "done", matched: 0, done: 0, filter: { errorCode: "dns" } });
});

test("pause, resume and cancel", async () => {
  await failing(3);
  const filter = mine();
  const slow = await createJob(service.api, { action: "retry", filter, ratePerSecond: 1 });
  const paused = await control(slow.id, "pause");
  expect(paused).toMatchObject({ status: 200, body: { id: slow.id, state: "paused" } });
  // Another job is done meanwhile, so the runner has looked.
  await runJob(service.api, { action: "replay", filter: mine({ status: ["failed"] }) });
  await service.pool.query("update bulk_jobs set next_at = now() - interval '1 hour' where id = $1", [slow.id]);
  await runJob(service.api, { action: "replay", filter: mine({ status: ["failed"] }) });
  expect(await readJob(service.api, slow.id)).toMatchObject({ state: "paused", done: paused.body.done });
  const resumed = await service.api.post(`/webhooks/bulk-jobs/${slow.id}/resume`, { ratePerSecond: 1_000 });
  expect(resumed.body).toMatchObject({ state: "running", ratePerSecond: 1_000 });
  expect(await jobIn(service.api, slow.id, "done")).toMatchObject({ matched: 3, done: 3 });
  for (const verb of ["pause", "resume", "cancel"]) expect(refusal(await control(slow.id, verb))).toEqual(conflict);

  const doomed = await createJob(service.api, { action: "replay", filter, ratePerSecond: 1 });
  const canceled = await control(doomed.id, "cancel");
  expect(canceled.body).toMatchObject({ state: "canceled", matched: 3, finishedAt: expect.any(String) });
  const { rows } = await service.pool.query("select 1 from bulk_job_chunks");
  expect(rows).toEqual([]);
});

test("jobs are listed newest first, by state, and only to their organization", async () => {
  const filter = mine({ status: ["failed"] });
  const first = await runJob(service.api, { action: "replay", filter });
  const second = await runJob(service.api, { action: "replay", filter });
  const { items } = (await service.api.get("/webhooks/bulk-jobs?limit=2")).body;
  expect(items).toEqual([second, first]);
  const other = await service.otherOrganization();
  expect((await other.get("/webhooks/bulk-jobs")).body).toEqual({ items: [], nextCursor: null, hasMore: false });
  const running = (await service.api.get("/webhooks/bulk-jobs?state=running")).body.items;
  expect(running.filter((job: Answer["body"]) => job.state !== "running")).toEqual([]);
  expect(refusal(await other.get(`/webhooks/bulk-jobs/${first.id}`))).toEqual(notFound);
  const theirs = await other.post("/webhooks/bulk-jobs", { action: "cancel", filter: mine() });
  expect(refusal(theirs)).toEqual(notFound);
  const blind = await other.post("/webhooks/bulk-jobs", { action: "replay", filter: { status: ["succeeded"] } });
  expect(blind.body).toMatchObject({ matched: 0 });
});

test("too many matches, and too many jobs, are refused", async () => {
  await webhook.patch({ status: "paused" });
  for (let n = 0; n < 6; n++) await webhook.sendEvent();
  for (const dryRun of [true, false]) {
    const refused = await service.api.post("/webhooks/bulk-jobs", { action: "cancel", filter: mine(), dryRun });
    expect(refusal(refused)).toEqual(badRequest("filter too_many"));
    expect(refused.body.error.message).toContain("more than 5 deliveries");
  }
  const some = (await service.api.get(`/webhooks/${webhook.id}/deliveries?limit=2`)).body.items[1].createdAt;
  const job = { action: "replay", filter: mine({ since: some }), ratePerSecond: 1 };
  const jobs = [
    await createJob(service.api, job),
    await createJob(service.api, job),
    await createJob(service.api, job),
  ];
  expect(refusal(await service.api.post("/webhooks/bulk-jobs", job))).toEqual(conflict);
  for (const { id } of jobs) await control(id, "cancel");
});

describe("what is refused", () => {
  test.each<[string, object, readonly string[]]>([
    ["no action", { filter: { type: "t" } }, ["action string.in"]],
    ["another action", { action: "delete", filter: { type: "t" } }, ["action string.in"]],
    ["no filter", { action: "retry" }, ["filter required"]],
    ["a filter of nothing", { action: "retry", filter: {} }, ["filter required"]],
    ["a status that is none", { action: "retry", filter: { status: ["done"] } }, ["filter.status[0] string.in"]],
    [
      "finished ones to cancel",
      { action: "cancel", filter: { status: ["paused", "failed"] } },
      ["filter.status[1] in"],
    ],
    ["a type that is none", { action: "retry", filter: { type: "a*" } }, ["filter.type pattern"]],
    ["no rate", { action: "retry", filter: { type: "t" }, ratePerSecond: 0 }, ["ratePerSecond int32.gte_lte"]],
    [
      "too high a rate",
      { action: "retry", filter: { type: "t" }, ratePerSecond: 10_001 },
      ["ratePerSecond int32.gte_lte"],
    ],
    [
      "times that end before",
      { action: "retry", filter: { since: "2026-01-02T00:00:00Z", until: "2026-01-01T00:00:00Z" } },
      ["filter.until range"],
    ],
  ])("%s", async (_what, body, fields) => {
    expect(refusal(await service.api.post("/webhooks/bulk-jobs", body))).toEqual(badRequest(...fields));
  });

  test("jobs that are none", async () => {
    for (const verb of ["pause", "resume", "cancel"]) {
      expect(refusal(await control(UNKNOWN_ID, verb))).toEqual(notFound);
      expect(refusal(await control("1", verb))).toEqual(badRequest("id string.uuid"));
    }
    expect(refusal(await service.api.get(`/webhooks/bulk-jobs/${UNKNOWN_ID}`))).toEqual(notFound);
  });
});

test("the end of a job is told: done, with nothing to do, or canceled", async () => {
  const listener = await createListener(service, { events: ["bulk_job.finished"] });
  await webhook.settled(await webhook.sendEvent(), "succeeded");
  const done = await runJob(service.api, { action: "replay", filter: mine() });
  const idle = await runJob(service.api, { action: "replay", filter: mine({ status: ["failed"] }) });
  const canceled = await createJob(service.api, { action: "replay", filter: mine(), ratePerSecond: 1 });
  await control(canceled.id, "pause");
  await control(canceled.id, "cancel");
  await tellNow(service, listener);
  const told = await listener.told(3);
  const byJob = new Map(told.map(({ type, data }) => [data.bulkJobId, { type, ...data }]));
  const finished = { type: "bulk_job.finished", count: 1, action: "replay", skipReasons: {} };
  expect(byJob.get(done.id)).toEqual({ ...finished, bulkJobId: done.id, state: "done", matched: 1, done: 1 });
  expect(byJob.get(idle.id)).toEqual({ ...finished, bulkJobId: idle.id, state: "done", matched: 0, done: 0 });
  const { state } = await readJob(service.api, canceled.id);
  expect(byJob.get(canceled.id)).toMatchObject({ ...finished, state });
  await service.api.delete(`/webhooks/${listener.id}`);
  await listener.close();
});
