/** Whose an API key is: looked up anew for every call, with any number of other calls' keys in one query. */
import { randomBytes } from "node:crypto";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiKeys } from "../../src/core/api-keys.ts";
import { ensureOrganization } from "../../src/core/bootstrap.ts";
import { createOrm, type Orm } from "../../src/store/orm.ts";
import { eventually } from "../support/eventually.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { connectionTo, createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

const BATCH_MAX = 50;
const clock = new ManualClock();
let database: TestDatabase;
let pool: Pool;
let lookups: Pool;
let orm: Orm;
let apiKeys: ApiKeys;
let organizationId: string;
/** Queries of the look-ups' pool so far. */
let queries = 0;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
  lookups = createPool(database);
  const query = lookups.query.bind(lookups) as (...args: unknown[]) => Promise<unknown>;
  const counted = (...args: unknown[]) => {
    queries += 1;
    return query(...args);
  };
  Object.assign(lookups, { query: counted });
  orm = await createOrm(connectionTo(database));
  const limits = { lookupBatchMax: BATCH_MAX, lookupsWaitingMax: 1_000, keyOwnersMax: 3 };
  apiKeys = new ApiKeys({ orm, pool, lookups, clock, production: true, limits });
  organizationId = await ensureOrganization(pool, "one");
});
afterAll(async () => {
  await orm?.close(true);
  await Promise.all([pool?.end(), lookups?.end()]);
  await database?.drop();
});

const madeUp = () => `Bearer alm_live_${randomBytes(16).toString("hex")}`;
const unknown = expect.objectContaining({ reason: "UNAUTHORIZED" });
const mint = async (expiresAt: Date | null = null) => {
  const { apiKey, key } = await apiKeys.create(organizationId, "minted", expiresAt);
  return { id: apiKey.id, authorization: `Bearer ${key}` };
};
const noted = async (id: string): Promise<unknown> =>
  (await pool.query("select last_used_at from api_keys where id = $1", [id])).rows[0]?.last_used_at?.getTime();

test("keys that nobody knows cost a query for so many of them, and every call is told of its own key", async () => {
  const { authorization } = await mint();
  const before = queries;
  const asked = Array.from({ length: 4 * BATCH_MAX }, (_, n) => (n % 10 === 0 ? authorization : madeUp()));
  const answers = await Promise.all(
    asked.map((it) => apiKeys.authenticate(apiKeys.present(it)).catch((error: unknown) => error)),
  );
  expect(answers).toEqual(asked.map((it) => (it === authorization ? { organizationId } : unknown)));
  // The first begins at once; the others wait for it, and form batches.
  expect(queries - before).toBe(5);
});

test("a revoked key is refused by the next call, also where a look-up of it is under way", async () => {
  const [kept, revoked] = [await mint(), await mint()];
  expect(await apiKeys.authenticate(apiKeys.present(revoked.authorization))).toEqual({ organizationId });
  const underWay = apiKeys.authenticate(apiKeys.present(revoked.authorization)).catch((error: unknown) => error);
  await apiKeys.revoke({ organizationId }, revoked.id);
  await expect(apiKeys.authenticate(apiKeys.present(revoked.authorization))).rejects.toEqual(unknown);
  expect(await apiKeys.authenticate(apiKeys.present(kept.authorization))).toEqual({ organizationId });
  await underWay;
});

test("a key counts until it expires", async () => {
  const { authorization } = await mint(new Date(clock.now() + 1_000));
  expect(await apiKeys.authenticate(apiKeys.present(authorization))).toEqual({ organizationId });
  clock.advance(1_000);
  await expect(apiKeys.authenticate(apiKeys.present(authorization))).rejects.toEqual(unknown);
});

test("uses are noted once in a while, all of a batch together", async () => {
  const [one, two] = [await mint(), await mint()];
  const use = () => Promise.all([one, two, one].map((it) => apiKeys.authenticate(apiKeys.present(it.authorization))));
  const firstMs = clock.now();
  await use();
  for (const { id } of [one, two]) await eventually("noted", async () => (await noted(id)) === firstMs);
  clock.advance(59_000);
  await use();
  expect([await noted(one.id), await noted(two.id)]).toEqual([firstMs, firstMs]);
  clock.advance(2_000);
  await use();
  for (const { id } of [one, two]) await eventually("noted anew", async () => (await noted(id)) === firstMs + 61_000);
});

test("whose a key was is remembered, of the keys that were used last", async () => {
  const keys = [await mint(), await mint(), await mint(), await mint()].map((it) => it.authorization);
  const remembered = () => keys.map((it) => apiKeys.present(it)?.owner?.organizationId);
  expect(remembered()).toEqual([undefined, undefined, undefined, undefined]);
  for (const it of keys) await apiKeys.authenticate(apiKeys.present(it));
  expect(remembered()).toEqual([undefined, organizationId, organizationId, organizationId]);
  await apiKeys.authenticate(apiKeys.present(keys[1]));
  await apiKeys.authenticate(apiKeys.present(keys[0]));
  expect(remembered()).toEqual([organizationId, organizationId, undefined, organizationId]);
});

test("a key that counts no longer, and one that nobody knows, are nobody's", async () => {
  const { id, authorization } = await mint();
  await apiKeys.authenticate(apiKeys.present(authorization));
  await apiKeys.revoke({ organizationId }, id);
  expect(apiKeys.present(authorization)?.owner).toEqual({ organizationId });
  const nobodys = madeUp();
  for (const it of [authorization, nobodys]) await apiKeys.authenticate(apiKeys.present(it)).catch(() => {});
  expect([authorization, nobodys, "Bearer x", undefined].map((it) => apiKeys.present(it)?.owner)).toEqual(
    Array(4).fill(undefined),
  );
});
