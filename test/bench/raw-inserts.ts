/** What PostgreSQL alone does with the same bytes: bulk inserts of unnested arrays, each committed. */
import { randomBytes } from "node:crypto";
import type { Gateway } from "./gateway.ts";

const ROWS = 256;

/** Rows a second. */
export async function rawInserts(gateway: Gateway, bytes: number, durationMs: number): Promise<number> {
  await gateway.query("create table if not exists bench_raw (id uuid primary key, body bytea not null)");
  const bodies = Array.from({ length: ROWS }, () => randomBytes(bytes));
  const untilMs = performance.now() + durationMs;
  const startMs = performance.now();
  let rows = 0;
  while (performance.now() < untilMs) {
    await gateway.query("insert into bench_raw select uuidv7(), body from unnest($1::bytea[]) body", [bodies]);
    rows += ROWS;
  }
  await gateway.query("drop table bench_raw");
  return rows / ((performance.now() - startMs) / 1_000);
}
