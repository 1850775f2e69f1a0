/** Connections to the database break: all at once, for a while, or just as a statement has been executed. */
import type { Random } from "../random.ts";
import type { Kind } from "../rounds.ts";
import type { Scene } from "../scene.ts";
import { randomInstant } from "./random-instant.ts";

/** A few words of each hot statement: its answer gets lost, so that nobody knows whether it was committed. */
const STATEMENTS = ["receive", "complete", "claim", "begin-attempt", "extend-leases", "find-webhooks"] as const;

export const connectionsCut: Kind = {
  name: "connections-cut",
  scene: { replicas: 1, proxied: true },
  inflict: async (scene, load, random) => {
    for (let faults = random.between(2, 4); faults > 0; faults--) {
      await randomInstant(random);
      await breakOnce(scene, random);
      await load.acknowledges(random.between(1, 40));
    }
    scene.proxy.restore();
    return [];
  },
};

async function breakOnce(scene: Scene, random: Random): Promise<void> {
  const how = random.next();
  if (how < 0.3) scene.proxy.breakAll();
  else if (how < 0.7) scene.proxy.loseAnswerTo(random.pick(STATEMENTS));
  else {
    scene.proxy.cut();
    await randomInstant(random, 800);
    scene.proxy.restore();
  }
}
