/** A start that cannot be: one line on standard error that names the variable, and the exit code for wrong settings. */
import { randomBytes } from "node:crypto";
import { type AddressInfo, createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { TEST_MASTER_KEY } from "../support/service.ts";
import { killLeftovers, runCommand, startServiceProcess } from "./service-process.ts";

let database: TestDatabase;
let taken: Server;
let takenPort: number;

beforeAll(async () => {
  database = await createTestDatabase();
  taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
  takenPort = (taken.address() as AddressInfo).port;
});
afterAll(async () => {
  await killLeftovers();
  await new Promise((resolve) => taken.close(resolve));
  await database?.drop();
});

async function refusal(env: Readonly<Record<string, string>>): Promise<string> {
  const settings = { PORT: "0", DATABASE_URL: database.url, MASTER_KEY: TEST_MASTER_KEY, LOG_LEVEL: "error" };
  const exit = await runCommand(["serve"], { ...settings, ...env });
  expect(exit).toMatchObject({ code: 2, signal: null, stdout: "" });
  expect(exit.stderr.trimEnd().split("\n")).toHaveLength(1);
  return exit.stderr;
}

test("a port in use", async () => {
  expect(await refusal({ PORT: String(takenPort) })).toMatch(new RegExp(`^PORT ${takenPort} .*in use`));
});

test("a start that is refused makes no API key, which nobody would be shown", { timeout: 30_000 }, async () => {
  const fresh = await createTestDatabase();
  await refusal({ DATABASE_URL: fresh.url, PORT: String(takenPort) });
  const service = await startServiceProcess({ DATABASE_URL: fresh.url, MASTER_KEY: TEST_MASTER_KEY });
  expect((await service.api.get("/webhooks")).status).toBe(200);
  service.signal("SIGTERM");
  expect(await service.exited).toMatchObject({ code: 0 });
  await fresh.drop();
});

test.each<[string, Record<string, string>, RegExp]>([
  ["a port that is none", { PORT: "web" }, /^PORT takes .* not "web"/],
  ["a schedule that is none", { DELIVERY_SCHEDULE: "soon" }, /^DELIVERY_SCHEDULE takes .* not "soon"/],
  ["a key of another length", { MASTER_KEY: "c2hvcnQ=" }, /^MASTER_KEY takes base64 of exactly 32 bytes/],
  ["no key with a database", { MASTER_KEY: "" }, /^MASTER_KEY is required with DATABASE_URL/],
])("%s", async (_name, env, expected) => {
  expect(await refusal(env)).toMatch(expected);
});

test("a master key that does not open what is stored", { timeout: 30_000 }, async () => {
  const env = { DATABASE_URL: database.url };
  const service = await startServiceProcess({ ...env, MASTER_KEY: TEST_MASTER_KEY });
  expect((await service.api.post("/webhooks", { name: "sealed" })).status).toBe(201);
  service.signal("SIGTERM");
  expect(await service.exited).toMatchObject({ code: 0 });
  const other = randomBytes(32).toString("base64");
  const message = await refusal({ ...env, MASTER_KEY: other });
  expect(message).toMatch(/^MASTER_KEY does not open the secrets in this database/);
  expect(message).not.toContain(other);
  const rotated = await startServiceProcess({ ...env, MASTER_KEY: other, MASTER_KEYS_OLD: TEST_MASTER_KEY });
  rotated.signal("SIGTERM");
  expect(await rotated.exited).toMatchObject({ code: 0 });
});

test("an unknown command shows the usage", async () => {
  const exit = await runCommand(["sevre"], {});
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  expect(exit.stderr).toMatch(/^usage: /);
});
