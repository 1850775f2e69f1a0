/** The disk under PostgreSQL is full for a while: senders are told to come again, and it heals once there is space. */
import type { Kind } from "../rounds.ts";
import { canMount } from "../small-disk.ts";
import { randomInstant } from "./random-instant.ts";

/** Room for a new cluster, its log of some segments, and the events of a round, MiB. */
const DISK_MEBIBYTES = 256;

export const diskFull: Kind = {
  name: "disk-full",
  scene: { replicas: 1, diskMebibytes: DISK_MEBIBYTES },
  isPossible: canMount,
  inflict: async (scene, load, random) => {
    await randomInstant(random);
    await scene.disk.fill(random.chance(0.5) ? 0 : random.between(0, 300_000));
    await load.refuses(random.between(1, 60));
    await randomInstant(random, 500);
    await scene.disk.free();
    return [];
  },
};
