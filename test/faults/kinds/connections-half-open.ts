/** The network between service and database goes silent: one way, both ways, late, or for one end only. */
import type { Direction } from "../../support/postgres-proxy.ts";
import type { Random } from "../random.ts";
import type { Kind } from "../rounds.ts";
import type { Scene } from "../scene.ts";
import { randomInstant } from "./random-instant.ts";

const WAYS: readonly [readonly Direction[], ...(readonly Direction[])[]] = [
  ["toServer"],
  ["toClient"],
  ["toServer", "toClient"],
];

export const connectionsHalfOpen: Kind = {
  name: "connections-half-open",
  scene: { replicas: 1, proxied: true },
  inflict: async (scene, load, random) => {
    for (let faults = random.between(1, 2); faults > 0; faults--) {
      await randomInstant(random);
      await silence(scene, random);
      await load.acknowledges(random.between(1, 40));
      scene.proxy.restore();
    }
    return [];
  },
};

async function silence(scene: Scene, random: Random): Promise<void> {
  const { proxy } = scene;
  const how = random.next();
  if (how < 0.25) return proxy.delay(random.between(5, 150));
  if (how < 0.6) proxy.hold(random.pick(WAYS));
  else proxy.strand();
  // Nobody finds it out but the service itself, when it gives its statements up.
  if (how > 0.97) return;
  // Beyond the end of leases, now and then.
  await randomInstant(random, 1_600);
  // What was stranded is found out by its reset.
  proxy.restore();
}
