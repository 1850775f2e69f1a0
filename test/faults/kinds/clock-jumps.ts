/**
 * Wall clocks jump, forward and back, by seconds, minutes and days: the service's own, and the database's. The latter
 * is moved by moving every time in its queue the other way, which is the same to whatever compares with now. Now and
 * then a replica dies over it: then leases that reach far into the future have lost their owner.
 */
import type { Random } from "../random.ts";
import type { Kind } from "../rounds.ts";
import type { Scene } from "../scene.ts";
import { randomInstant } from "./random-instant.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Jumps of the service's clock, milliseconds; the longest go where no partition has been made. */
const JUMPS_MS = [-45 * DAY_MS, -DAY_MS, -20 * MINUTE_MS, -5_000, 5_000, 20 * MINUTE_MS, DAY_MS, 45 * DAY_MS] as const;
/** Jumps of the database's clock, milliseconds. */
const DATABASE_JUMPS_MS = [-2 * DAY_MS, -30 * MINUTE_MS, 90 * MINUTE_MS, 2 * DAY_MS] as const;

export const clockJumps: Kind = {
  name: "clock-jumps",
  scene: { replicas: 2, settableClock: true },
  inflict: async (scene, load, random) => {
    let died = false;
    for (let jumps = random.between(2, 4); jumps > 0; jumps--) {
      await randomInstant(random);
      if (random.chance(0.35)) died = await moveDatabaseClock(scene, random, died);
      else await scene.replica(random.between(0, 1)).setClock(random.pick(JUMPS_MS));
      await load.acknowledges(random.between(1, 40));
    }
    await Promise.all([0, 1].map(async (n) => await scene.replica(n).setClock(0)));
    return [];
  },
};

const MOVE_CLOCK = `
with rows as materialized (select delivery_id from delivery_queue order by delivery_id for update),
queue as (
  update delivery_queue q set due_at = q.due_at - $1 * interval '1 millisecond',
    started_at = q.started_at - $1 * interval '1 millisecond', resume_at = q.resume_at - $1 * interval '1 millisecond'
  from rows r where q.delivery_id = r.delivery_id returning q.delivery_id
)
update deliveries d set next_attempt_at = d.next_attempt_at - $1 * interval '1 millisecond'
from queue q where d.id = q.delivery_id`;

/**
 * Resolves to whether a replica has died in this round. Services notice a clock that is set back, which this one only
 * seems to be; a start mends the same leases, so one follows wherever the dead may have left some.
 */
async function moveDatabaseClock(scene: Scene, random: Random, died: boolean): Promise<boolean> {
  await scene.pool.query(MOVE_CLOCK, [random.pick(DATABASE_JUMPS_MS)]);
  if (random.chance(0.5) && !died) return false;
  const victim = random.between(0, 1);
  await scene.kill(victim);
  await scene.restart(victim);
  return true;
}
