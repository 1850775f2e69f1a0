/**
 * What workers take against a model: whatever falls due of several organizations, ends soon or hangs, on one replica or
 * two, nobody has more than its share, whoever may have more has nothing waiting, and in the end all is delivered.
 */
import { randomUUID } from "node:crypto";
import fc from "fast-check";
import type { Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Claims } from "../../src/delivery/claims.ts";
import { Occupancy } from "../../src/delivery/occupancy.ts";
import type { ClaimedDelivery } from "../../src/store/sql/claim.ts";
import { unobserved } from "../support/observer.ts";
import { createPool } from "../support/pool.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { advance, finish, insertDue, insertLanedWebhook, type WebhookOf } from "./lane-scene.ts";

/** How many destinations each organization has. */
const ORGANIZATIONS = [5, 1, 2];
const DESTINATIONS = ORGANIZATIONS.reduce((sum, count) => sum + count);
const SHARES = { max: 12, destinationMax: 5 };
const LINE = { lineMax: 0, destinationLineMax: 0, lineMs: 100 };

type Command =
  | { readonly do: "owe"; readonly to: number; readonly count: number; readonly step: number }
  | { readonly do: "take"; readonly replica: number }
  | { readonly do: "end"; readonly which: number; readonly count: number }
  | { readonly do: "pass"; readonly ms: number };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("owe" as const),
      to: fc.nat(DESTINATIONS - 1),
      count: fc.integer({ min: 1, max: 12 }),
      step: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("take" as const), replica: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("end" as const), which: fc.nat(20), count: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(10, 300, 2_000) }) },
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

/** One process: what it holds, and what it may take. */
class Replica {
  readonly held: ClaimedDelivery[] = [];
  readonly occupancy: Occupancy;
  readonly #claims: Claims;

  constructor(now: () => number) {
    this.occupancy = new Occupancy({ ...SHARES, ...LINE }, now);
    const options = {
      pool,
      observer: unobserved,
      leaseMs: 60_000,
      schedule: [0, 1_000, 1_000],
      claimIntervalMs: 1_000,
    };
    const rows = { claimRowsMax: 4, parkRowsMax: 10, laneRowsMax: 4 };
    this.#claims = new Claims({ ...options, ...rows }, this.occupancy);
  }

  /** Goes on until there is nothing that it takes. */
  async take(): Promise<void> {
    this.#claims.lookAtLanes();
    for (let turn = 0, restMs = 0; restMs < 5; turn++) {
      expect(turn, "turns").toBeLessThan(60);
      restMs = await this.#claims.take(100, (claimed) => {
        this.held.push(...claimed);
        for (const delivery of claimed) this.occupancy.enter(delivery);
      });
    }
  }
}

class Model {
  readonly #webhooks: readonly WebhookOf[];
  readonly #replicas: readonly Replica[];
  readonly #owed = new Set<string>();
  #nowMs = 1_000;

  constructor(webhooks: readonly WebhookOf[], replicas: number) {
    this.#webhooks = webhooks;
    this.#replicas = Array.from({ length: replicas }, () => new Replica(() => this.#nowMs));
  }

  async run(step: Command): Promise<void> {
    switch (step.do) {
      case "owe": {
        const webhook = this.#webhooks[step.to];
        if (!webhook) throw new Error("no such destination");
        const ids = await insertDue(
          pool,
          webhook,
          Array.from({ length: step.count }, () => ({ step: step.step })),
        );
        for (const id of ids) this.#owed.add(id);
        return;
      }
      case "take":
        return await this.#take(this.#replicas[step.replica % this.#replicas.length]);
      case "end":
        for (let n = 0; n < step.count; n++) await this.#end(step.which + n);
        return;
      case "pass":
        this.#nowMs += step.ms;
        await advance(pool, step.ms);
    }
  }

  async #take(replica: Replica | undefined): Promise<void> {
    if (!replica) throw new Error("no such replica");
    await replica.take();
    // Lanes that sleep are looked after now and then.
    await this.run({ do: "pass", ms: 10 });
    await replica.take();
    expect(replica.held.length).toBeLessThanOrEqual(SHARES.max);
    for (const webhook of this.#webhooks) {
      const of = replica.held.filter(({ webhookId }) => webhookId === webhook.id).length;
      expect(of, "share of a destination").toBeLessThanOrEqual(SHARES.destinationMax);
      const all = replica.held.filter(({ organizationId }) => organizationId === webhook.organizationId).length;
      expect(all, "share of an organization").toBeLessThanOrEqual((SHARES.max * 3) / 4);
    }
    const { rows } = await pool.query<{ webhook_id: string; organization_id: string }>(
      "select distinct webhook_id, organization_id from delivery_queue where started_at is null and due_at <= now()",
    );
    for (const { webhook_id: webhookId, organization_id: organizationId } of rows)
      expect(replica.occupancy.admits({ webhookId, organizationId }), "it waits, though it may be taken").toBe(false);
  }

  async #end(which: number): Promise<void> {
    const replica = this.#replicas[which % this.#replicas.length];
    const [delivery] = replica?.held.splice(which % Math.max(replica.held.length, 1), 1) ?? [];
    if (!replica || !delivery) return;
    await finish(pool, delivery, { kind: "succeeded" });
    replica.occupancy.leave(delivery, 5_000);
    expect(this.#owed.delete(delivery.deliveryId), "delivered once").toBe(true);
  }

  async drain(): Promise<void> {
    for (let turn = 0; this.#owed.size > 0 && turn < 100; turn++) {
      for (let replica = 0; replica < this.#replicas.length; replica++) await this.run({ do: "take", replica });
      for (let which = 0; which < 2 * SHARES.max; which++) await this.#end(which);
    }
    expect(this.#owed.size).toBe(0);
  }
}

test.each([1, 2])("shares hold and nobody waits for nothing, on %d", { timeout: 120_000 }, async (replicas) => {
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 8, maxLength: 30 }), async (commands) => {
      await pool.query("truncate lanes, delivery_queue");
      const webhooks = await Promise.all(
        ORGANIZATIONS.flatMap((count) => {
          const organizationId = randomUUID();
          return Array.from({ length: count }, () => insertLanedWebhook(pool, null, organizationId));
        }),
      );
      const model = new Model(webhooks, replicas);
      for (const step of commands) await model.run(step);
      await model.drain();
    }),
    { numRuns: 15, seed: 6 },
  );
});
