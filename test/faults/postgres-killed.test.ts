/** kill -9 of PostgreSQL under load: the service brings it back, and nothing that it acknowledged is lost. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Destination, startDestination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import { type EmbeddedDirectory, makeEmbeddedDirectory } from "./embedded-directory.ts";
import { expectCounted, expectNoNeedlessRepeats, expectStored, expectSucceeded, settled } from "./ledger.ts";
import { answersUnderLoad, killLeftovers, SCHEDULE, startLoad, startServiceProcess } from "./service-process.ts";

const SENDERS = 64;
let directory: EmbeddedDirectory;
let destination: Destination;

beforeAll(async () => {
  [directory, destination] = await Promise.all([makeEmbeddedDirectory(), startDestination()]);
});
afterAll(async () => {
  await killLeftovers();
  await Promise.all([directory?.remove(), destination?.close()]);
});

test("the service brings it back; nothing acknowledged is lost, every delivery ends", { timeout: 90_000 }, async () => {
  destination.behave(answersUnderLoad);
  const service = await startServiceProcess({
    DATA_DIR: directory.path,
    DELIVERY_LEASE_MS: "1500",
    DELIVERY_SCHEDULE: SCHEDULE,
    LOG_LEVEL: "fatal",
  });
  const pool = await directory.connect();
  const { body: webhook } = await service.api.post("/webhooks", { name: "load", url: destination.url });
  const load = startLoad(webhook.receiveUrl, webhook.secret, SENDERS);
  for (const kills of [1, 2]) {
    await load.reached(load.acknowledged.size + 300);
    const pid = await directory.postmaster();
    expect(pid).toBeGreaterThan(0);
    if (pid) process.kill(pid, "SIGKILL");
    // Not acknowledged before the kill, so committed by a server that came back.
    await load.reached(load.acknowledged.size + SENDERS + 200);
    expect(await directory.postmaster(), `after kill ${kills}`).not.toBe(pid);
  }
  await load.stop();
  await eventually("the server answers", async () => await pool.query("select 1").catch(() => undefined));
  await settled(pool, 40_000);

  await expectStored(pool, load.acknowledged);
  const deliveries = await expectSucceeded(pool);
  expectNoNeedlessRepeats(deliveries, destination);
  await expectCounted(pool);
  expect((await fetch(`${service.url}/readyz`)).status).toBe(200);
  service.signal("SIGTERM");
  expect(await service.exited).toMatchObject({ code: 0 });
  expect(await directory.postmaster(), "the last one to leave stops the server").toBeUndefined();
});
