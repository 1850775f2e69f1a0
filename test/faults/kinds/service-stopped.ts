/** SIGTERM under load: it finishes what it has taken on, gives the rest back and ends well; nothing is interrupted. */
import type { Kind } from "../rounds.ts";
import { randomInstant } from "./random-instant.ts";

export const serviceStopped: Kind = {
  name: "service-stopped",
  scene: { replicas: 1 },
  inflict: async (scene, _load, random) => {
    await randomInstant(random);
    const problems = await scene.stop(0);
    const { rows } = await scene.pool.query<{ leased: number; under_way: number; interrupted: number }>(
      `select (select count(*)::int from delivery_queue where lease_token is not null or started_at is not null) as leased,
         (select count(*)::int from deliveries where status = 'delivering') as under_way,
         (select count(*)::int from delivery_attempts where status = 'interrupted') as interrupted`,
    );
    for (const [what, count] of Object.entries(rows[0] ?? {})) {
      if (count > 0) problems.push(`a stop left ${count} ${what}`);
    }
    await scene.restart(0);
    return problems;
  },
};
