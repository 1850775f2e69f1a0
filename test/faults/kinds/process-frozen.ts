/** One of two replicas is frozen for longer than its leases, and comes back to find its work taken over. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Kind } from "../rounds.ts";
import { LEASE_MS } from "../scene.ts";
import { randomInstant } from "./random-instant.ts";

export const processFrozen: Kind = {
  name: "process-frozen",
  scene: { replicas: 2 },
  inflict: async (scene, load, random) => {
    const frozen = scene.replica(random.between(0, 1));
    await randomInstant(random);
    frozen.signal("SIGSTOP");
    await sleep(random.between(LEASE_MS / 2, 2 * LEASE_MS));
    frozen.signal("SIGCONT");
    await load.acknowledges(random.between(1, 40));
    return [];
  },
};
