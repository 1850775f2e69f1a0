/** Two services on one data directory share its PostgreSQL. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type EmbeddedDirectory, makeEmbeddedDirectory } from "./embedded-directory.ts";
import { killLeftovers, startServiceProcess } from "./service-process.ts";

let directory: EmbeddedDirectory;

beforeAll(async () => {
  directory = await makeEmbeddedDirectory();
});
afterAll(async () => {
  await killLeftovers();
  await directory?.remove();
});

test("a second service beside the first, on another port; either may leave", { timeout: 60_000 }, async () => {
  const env = { DATA_DIR: directory.path };
  const first = await startServiceProcess(env);
  const second = await startServiceProcess(env);
  expect(second.url).not.toBe(first.url);
  const { body: webhook } = await first.api.post("/webhooks", { name: "shared" });
  expect((await second.api.get(`/webhooks/${webhook.id}`)).body.name).toBe("shared");
  const pid = await directory.postmaster();

  first.signal("SIGTERM");
  expect(await first.exited).toMatchObject({ code: 0, stderr: "" });
  expect(await directory.postmaster()).toBe(pid);
  expect((await second.api.get(`/webhooks/${webhook.id}`)).status).toBe(200);

  // A service that is killed leaves the server to the others, and to the next start.
  const third = await startServiceProcess(env);
  third.signal("SIGKILL");
  await third.exited;
  expect((await second.api.get("/webhooks")).status).toBe(200);
  second.signal("SIGTERM");
  expect(await second.exited).toMatchObject({ code: 0 });
  const fourth = await startServiceProcess(env);
  expect((await fourth.api.get(`/webhooks/${webhook.id}`)).body.name).toBe("shared");
  fourth.signal("SIGTERM");
  expect(await fourth.exited).toMatchObject({ code: 0 });
  expect(await directory.postmaster()).toBeUndefined();
});
