/**
 * Lanes against a model: whatever comes, is served by two workers, ends or fails, and however time passes, order, rate
 * and concurrency hold, a circuit lets one probe through, and in the end everything is delivered.
 */
import fc from "fast-check";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openCircuit, settleProbe } from "../../src/store/sql/circuit.ts";
import type { ClaimedDelivery } from "../../src/store/sql/claim.ts";
import { mendLanes } from "../../src/store/sql/lanes.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { advance, finish, insertLaned, insertLanedWebhook, serve } from "./lane-scene.ts";

const RATE = { count: 60, per: "minute", burst: 3 };
const EACH_MS = 1_000;
const CONCURRENCY = 4;
const CIRCUIT = { openMs: 5_000, openMsMax: 20_000 };
const KEYS = ["a", "b", "c", null];

type Command =
  | { readonly do: "deliver"; readonly key: string | null }
  | { readonly do: "serve"; readonly replicas: number }
  | { readonly do: "succeed" | "fail"; readonly which: number }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "open" };

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("deliver" as const), key: fc.constantFrom(...KEYS) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("serve" as const), replicas: fc.integer({ min: 1, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("succeed" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("fail" as const), which: fc.nat(9) }) },
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
  readonly webhook: { readonly id: string; readonly organizationId: string };
  /** What is owed of each key, in order. */
  readonly owed = new Map<string | null, string[]>(KEYS.map((key) => [key, []]));
  readonly running: ClaimedDelivery[] = [];
  readonly begunAtMs: number[] = [];
  circuit: "closed" | "open" | "probing" = "closed";
  passedMs = 0;

  constructor(webhook: { readonly id: string; readonly organizationId: string }) {
    this.webhook = webhook;
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
    // What the claim does with rows of a lane that fall due.
    await pool.query("update delivery_queue set laned = true where not laned and due_at <= now()");
    await mendLanes(pool);
  }

  async #begins(delivery: ClaimedDelivery): Promise<void> {
    const key = KEYS.find((one) => this.owed.get(one)?.includes(delivery.deliveryId));
    expect(key, "it is owed").toBeDefined();
    if (key !== null && key !== undefined) expect(this.owed.get(key)?.[0], "order").toBe(delivery.deliveryId);
    expect(this.circuit, "nothing goes through an open circuit but one probe").not.toBe("probing");
    expect(delivery.probe).toBe(this.circuit === "open");
    if (this.circuit === "open") this.circuit = "probing";
    this.running.push(delivery);
    expect(this.running.length, "concurrency").toBeLessThanOrEqual(CONCURRENCY);
    const { rows } = await pool.query<{ ms: string }>(
      "select extract(epoch from started_at) * 1000 as ms from delivery_queue where delivery_id = $1",
      [delivery.deliveryId],
    );
    this.begunAtMs.push(Number(rows[0]?.ms) + this.passedMs);
    const last = this.begunAtMs.at(-1) ?? 0;
    for (const [n, atMs] of this.begunAtMs.entries()) {
      const allowed = RATE.burst + (last - atMs) / EACH_MS;
      expect(this.begunAtMs.length - n, "rate").toBeLessThanOrEqual(allowed + 1e-3);
    }
  }

  async #end(which: number, works: boolean): Promise<void> {
    const [delivery] = this.running.splice(which % Math.max(this.running.length, 1), 1);
    if (!delivery) return;
    await finish(pool, delivery, works ? { kind: "succeeded" } : { kind: "retry", delayMs: 3_000 });
    if (works)
      for (const ids of this.owed.values())
        if (ids.includes(delivery.deliveryId)) ids.splice(ids.indexOf(delivery.deliveryId), 1);
    if (!delivery.probe) return;
    await settleProbe(pool, this.webhook.id, works, CIRCUIT);
    this.circuit = works ? "closed" : "open";
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

test("order, rate, concurrency and circuit hold, and nothing stays", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 10, maxLength: 40 }), async (commands) => {
      await pool.query("truncate lanes, delivery_queue");
      const settings = { rateLimit: RATE, maxConcurrency: CONCURRENCY, orderingKey: { header: "k" } };
      const model = new Model(await insertLanedWebhook(pool, settings));
      for (const step of commands) await model.run(step);
      await model.drain();
    }),
    { numRuns: 40, seed: 6 },
  );
});
