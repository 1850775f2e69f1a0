/**
 * Lanes against a model: whatever comes, is served by one worker or two, ends, fails or is tried by hand, and however time
 * passes, order, rate and concurrency hold, a circuit lets one probe through, and in the end everything is delivered.
 */
import fc from "fast-check";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCircuit, settleProbe } from "../../src/store/sql/circuit.ts";
import { type ClaimedDelivery, claimDue } from "../../src/store/sql/claim.ts";
import { retryDelivery } from "../../src/store/sql/redeliver.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { advance, finish, insertLaned, insertLanedWebhook, serve, type WebhookOf } from "./lane-scene.ts";

const RATE = { count: 60, per: "minute", burst: 3 };
const EACH_MS = 1_000;
const CONCURRENCY = 4;
const CIRCUIT = { openMs: 5_000, openMsMax: 20_000 };
const KEYS = ["a", "b", "c", null];
const CLAIM = { leaseMs: 60_000, stepsMax: 1_000, lostMax: 0 };

type Command =
  | { readonly do: "deliver"; readonly key: string | null }
  | { readonly do: "serve"; readonly replicas: number }
  | { readonly do: "succeed" | "fail" | "retry"; readonly which: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "open" };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("deliver" as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("serve" as const), replicas: fc.integer({ min: 1, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("succeed" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fail" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("retry" as const), which: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(100, 1_000, 7_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("open" as const) }) },
);

let database: TestDatabase;
let pool: Pool;

beforeAll(async () => {
  database = await createTestDatabase();
  pool = createPool(database);
});
afterAll(async () => {
  await pool?.end();
  await database?.drop();
});

class Model {
  readonly webhook: WebhookOf;
  readonly skips: boolean;
  /** What is owed of each key, in order. */
  readonly owed = new Map<string | null, string[]>(KEYS.map((key) => [key, []]));
  /** What was asked for by hand, and goes out of turn. */
  readonly byHand = new Set<string>();
  readonly running: ClaimedDelivery[] = [];
  readonly begunAtMs: number[] = [];
  circuit: "closed" | "open" | "probing" = "closed";
  passedMs = 0;

  constructor(webhook: WebhookOf, skips: boolean) {
    this.webhook = webhook;
    this.skips = skips;
  }

  async run(step: Command): Promise<void> {
    switch (step.do) {
      case "deliver": {
        const [id = ""] = await insertLaned(pool, this.webhook, [{ key: step.key }]);
        this.owed.get(step.key)?.push(id);
        return;
      }
      case "serve": {
        const taken = await Promise.all(Array.from({ length: step.replicas }, () => serve(pool)));
        for (const delivery of taken.flat()) await this.#begins(delivery);
        return;
      }
      case "succeed":
      case "fail":
        return await this.#end(step.which, step.do === "succeed");
      case "retry":
        return await this.#retry(step.which);
      case "pass":
        this.passedMs += step.ms;
        return await this.#advance(step.ms);
      case "open":
        // Opened by a worker that saw it fail; what is under way ends on its own.
        if (await openCircuit(pool, this.webhook.id, CIRCUIT.openMs)) this.circuit = "open";
    }
  }

  async #advance(ms: number): Promise<void> {
    await advance(pool, ms);
    const { claimed } = await claimDue(pool, { ...CLAIM, limit: 100, except: [], exceptOrganizations: [] });
    expect(claimed, "all go to the lane").toEqual([]);
  }

  async #retry(which: number): Promise<void> {
    const ids = [...this.owed.values()].flat();
    const id = ids[which % Math.max(ids.length, 1)];
    if (id === undefined || this.running.some(({ deliveryId }) => deliveryId === id)) return;
    expect(await retryDelivery(pool, this.webhook.organizationId, id, CLAIM.leaseMs)).toBeNull();
    this.byHand.add(id);
    // It is a probe, whether or not one is under way.
    if (this.circuit === "probing") this.circuit = "open";
    await this.#advance(0);
  }

  async #begins(delivery: ClaimedDelivery): Promise<void> {
    const key = KEYS.find((one) => this.owed.get(one)?.includes(delivery.deliveryId));
    expect(key, "it is owed").toBeDefined();
    if (key !== null && key !== undefined && !this.byHand.has(delivery.deliveryId)) {
      expect(this.owed.get(key)?.[0], "order").toBe(delivery.deliveryId);
      const others = this.owed.get(key)?.slice(1) ?? [];
      expect(
        others.some((id) => this.byHand.has(id)),
        "one by hand is waited for",
      ).toBe(false);
    }
    expect(this.circuit, "nothing goes through an open circuit but one probe").not.toBe("probing");
    expect(delivery.probe).toBe(this.circuit === "open");
    if (this.circuit === "open") this.circuit = "probing";
    this.running.push(delivery);
    expect(this.running.length, "concurrency").toBeLessThanOrEqual(CONCURRENCY);
    const { rows } = await pool.query<{ ms: string }>(
      "select extract(epoch from started_at) * 1000 as ms from delivery_queue where delivery_id = $1",
      [delivery.deliveryId],
    );
    // Of two servings at once the one that ended first may have begun last.
    this.begunAtMs.push(Number(rows[0]?.ms) + this.passedMs);
    this.begunAtMs.sort((a, b) => a - b);
    const last = this.begunAtMs.at(-1) ?? 0;
    for (const [n, atMs] of this.begunAtMs.entries()) {
      const allowed = RATE.burst + (last - atMs) / EACH_MS;
      expect(this.begunAtMs.length - n, "rate").toBeLessThanOrEqual(allowed + 1e-3);
    }
  }

  async #end(which: number, works: boolean): Promise<void> {
    const [delivery] = this.running.splice(which % Math.max(this.running.length, 1), 1);
    if (!delivery) return;
    const unordered = this.skips && !this.byHand.has(delivery.deliveryId);
    await finish(pool, delivery, works ? { kind: "succeeded" } : { kind: "retry", delayMs: 3_000, unordered });
    this.byHand.delete(delivery.deliveryId);
    if (works || unordered) {
      for (const ids of this.owed.values())
        if (ids.includes(delivery.deliveryId)) ids.splice(ids.indexOf(delivery.deliveryId), 1);
    }
    if (!works && unordered) this.owed.get(null)?.push(delivery.deliveryId);
    if (!delivery.probe) return;
    await settleProbe(pool, this.webhook.id, works, CIRCUIT);
    if (works) this.circuit = "closed";
    else if (this.circuit === "probing") this.circuit = "open";
  }

  /** With time, and a destination that works, nothing stays. */
  async drain(): Promise<void> {
    const left = () => [...this.owed.values()].reduce((sum, ids) => sum + ids.length, 0);
    for (let turn = 0; left() > 0 && turn < 200; turn++) {
      await this.run({ do: "serve", replicas: 2 });
      while (this.running.length > 0) await this.run({ do: "succeed", which: 0 });
      await this.run({ do: "pass", ms: 1_500 });
    }
    expect(left()).toBe(0);
  }
}

test.each(["block", "skip"])("policy %s: all bounds hold, and nothing stays", { timeout: 120_000 }, async (policy) => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 40 }), async (commands) => {
      await pool.query("truncate lanes, delivery_queue");
      const settings = { rateLimit: RATE, maxConcurrency: CONCURRENCY, orderingKey: { header: "k", policy } };
      const model = new Model(await insertLanedWebhook(pool, settings), policy === "skip");
      for (const step of commands) await model.run(step);
      await model.drain();
    }),
    { numRuns: 15, seed: 6 },
  );
});
