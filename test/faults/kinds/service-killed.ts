/** kill -9 of the only replica at a random instant, once or twice; the next start goes on. */
import type { Kind } from "../rounds.ts";
import { randomInstant } from "./random-instant.ts";

export const serviceKilled: Kind = {
  name: "service-killed",
  scene: { replicas: 1 },
  inflict: async (scene, load, random) => {
    for (let kills = random.between(1, 2); kills > 0; kills--) {
      await randomInstant(random);
      await scene.kill(0);
      await scene.restart(0);
      if (kills > 1) await load.acknowledges(random.between(1, 60));
    }
    return [];
  },
};
