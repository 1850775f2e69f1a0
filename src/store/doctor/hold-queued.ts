import type { Pool, PoolClient } from "pg";
import { transaction } from "../transaction.ts";

/**
 * Does `work` in a transaction that holds the queue rows of these deliveries, as far as nobody else does; told which.
 * Its statements then find no row changed since they began, and may join partitions wherever they like (partitions.ts).
 */
export async function holdQueued<Result>(
  pool: Pool,
  deliveryIds: readonly string[],
  work: (client: PoolClient, held: readonly string[]) => Promise<Result>,
): Promise<Result> {
  return await transaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(
      `select delivery_id as id from delivery_queue where delivery_id = any ($1::uuid[])
       order by delivery_id for update skip locked`,
      [deliveryIds],
    );
    return await work(
      client,
      rows.map(({ id }) => id),
    );
  });
}
