/** A store with lanes and nobody who serves them but the test, whose clock the test moves. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { newId } from "../../src/core/ids.ts";
import { NO_TIMES } from "../../src/outbound/request.ts";
import type { ClaimedDelivery } from "../../src/store/sql/claim.ts";
import { completeAttempts, type NextState } from "../../src/store/sql/complete.ts";
import { ensureLanes, tendLanes } from "../../src/store/sql/lanes.ts";
import { type ServeOptions, serveLanes } from "../../src/store/sql/serve.ts";
import { transaction } from "../../src/store/transaction.ts";

const LEASE_MS = 60_000;
const NOBODY = "00000000-0000-0000-0000-000000000000";

export async function insertLanedWebhook(
  pool: Pool,
  delivery: object | null,
  organizationId = randomUUID(),
): Promise<{ id: string; organizationId: string }> {
  const id = randomUUID();
  await pool.query("insert into organizations (id, name) values ($1, 'o') on conflict do nothing", [organizationId]);
  await pool.query(
    `insert into webhooks (id, organization_id, name, url, source, events, status, delivery, created_at, updated_at)
     values ($1, $2, 'w', 'https://example.com/', 'custom', '{}', 'active', $3, now(), now())`,
    [id, organizationId, delivery],
  );
  await pool.query("insert into webhook_counters (webhook_id, organization_id) values ($1, $2)", [id, organizationId]);
  return { id, organizationId };
}

export interface OwedRow {
  readonly key?: string | null;
  readonly step?: number;
  /** A try beside the schedule, and whether by hand or by a bulk job. */
  readonly retried?: "manual" | "bulk";
}

export type WebhookOf = Readonly<Record<"id" | "organizationId", string>>;

/** Deliveries that wait in the webhook's lane, in this order; resolves to their ids. */
export async function insertLaned(pool: Pool, webhook: WebhookOf, rows: readonly OwedRow[]): Promise<string[]> {
  const ids = await insertDue(pool, webhook, rows, true);
  await ensureLanes(pool, [{ webhookId: webhook.id, organizationId: webhook.organizationId }]);
  return ids;
}

/** Deliveries that are due, in this order; resolves to their ids. */
export async function insertDue(
  pool: Pool,
  webhook: WebhookOf,
  rows: readonly OwedRow[],
  laned = false,
): Promise<string[]> {
  const ids = rows.map(() => newId());
  const columns = [
    rows.map(({ key }) => key ?? null),
    rows.map(({ step = 0 }) => step),
    rows.map(({ retried }) => retried ?? null),
  ];
  await pool.query(
    `with owed as (
       insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
       select id, $2, $3, $3, id, 'https://example.com/', 'pending', now(), now() from unnest($1::uuid[]) id)
     insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at, laned, step,
       manual, trigger, order_key, ordered_at)
     select i.id, $2, $3, $3, i.id, now(), $7, i.step, i.retried is not null, i.retried, convert_to(i.key, 'utf8'),
       case when i.key is not null then now() end
     from unnest($1::uuid[], $4::text[], $5::int[], $6::text[]) i (id, key, step, retried)`,
    [ids, webhook.organizationId, webhook.id, ...columns, laned],
  );
  return ids;
}

/** What one serving takes; there is room for everything unless the options say otherwise. */
export async function serve(pool: Pool, options: Partial<ServeOptions> = {}): Promise<ClaimedDelivery[]> {
  const { claimed } = await serveLanes(pool, {
    limit: 100,
    leaseMs: LEASE_MS,
    after: NOBODY,
    except: [],
    exceptOrganizations: [],
    laneRowsMax: 100,
    destinationRooms: new Map(),
    organizationRooms: new Map(),
    ...options,
  });
  return claimed;
}

export async function finish(pool: Pool, delivery: ClaimedDelivery, next: NextState): Promise<void> {
  const attempt = {
    ...delivery,
    succeeded: next.kind === "succeeded",
    url: "https://example.com/",
    startedAtMs: Date.now(),
    durationMs: 1,
    times: NO_TIMES,
    statusCode: 200,
    errorCode: null,
    errorMessage: null,
    senderVersion: null,
    credentialHeaders: null,
    responseHeaders: [],
    responseBody: Buffer.alloc(0),
    responseTruncated: false,
    remoteAddress: null,
    next,
  };
  const [held] = await completeAttempts(pool, [attempt], LEASE_MS);
  if (!held) throw new Error("the lease was lost");
}

/** How many pages of 8 KiB the statement looks at that `ask` makes; nothing comes of it. */
export async function pagesOf(pool: Pool, ask: (pool: Pool) => Promise<unknown>): Promise<number> {
  let pages = 0;
  const query = async ({ text, values }: { readonly text: string; readonly values: unknown[] }) => {
    await transaction(pool, async (client) => {
      const { rows } = await client.query(`explain (analyze, buffers, format json) ${text}`, values);
      const [{ Plan: plan }] = rows[0]["QUERY PLAN"];
      pages = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
      throw new Error("taken back");
    }).catch((error: Error) => {
      if (error.message !== "taken back") throw error;
    });
    return { rows: [] };
  };
  await ask({ query } as unknown as Pool);
  return pages;
}

/** Moves the clock: everything that the store waits for comes so much earlier. Lanes are looked after meanwhile. */
export async function advance(pool: Pool, ms: number): Promise<void> {
  const earlier = (column: string) => `${column} = ${column} - $1 * interval '1 millisecond'`;
  await pool.query(`update delivery_queue set ${earlier("due_at")} where lease_token is null`, [ms]);
  await pool.query(`update lanes set ${["next_at", "paid_until", "circuit_until"].map(earlier).join(", ")}`, [ms]);
  await tendLanes(pool);
}
