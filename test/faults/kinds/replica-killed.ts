/** Two or three replicas, of which one is killed (of three, sometimes two): the others take its work over. */
import type { Kind } from "../rounds.ts";
import { randomInstant } from "./random-instant.ts";

export const replicaKilled = (replicas: 2 | 3): Kind => ({
  name: `one-of-${replicas}-killed`,
  scene: { replicas },
  inflict: async (scene, load, random) => {
    const first = random.between(0, replicas - 1);
    const victims = replicas === 3 && random.chance(0.25) ? [first, (first + 1) % 3] : [first];
    for (const victim of victims) {
      await randomInstant(random);
      await scene.kill(victim);
    }
    await load.acknowledges(random.between(30, 80));
    await Promise.all(victims.map(async (victim) => await scene.restart(victim)));
    return [];
  },
});
