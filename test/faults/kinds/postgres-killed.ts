/**
 * kill -9 of PostgreSQL, or of one of its processes (which makes it start anew): the service brings it back. Where two
 * services share it in one data directory, both try, and now and then one of them is killed with it.
 */
import { readdir, readFile } from "node:fs/promises";
import { eventually } from "../../support/eventually.ts";
import type { Random } from "../random.ts";
import type { Kind } from "../rounds.ts";
import type { Scene } from "../scene.ts";
import { randomInstant } from "./random-instant.ts";

export const postgresKilled = (replicas: 1 | 2): Kind => ({
  name: replicas === 1 ? "postgres-killed" : "shared-postgres-killed",
  scene: { replicas, embedded: true },
  inflict: async (scene, load, random) => {
    for (let kills = random.between(1, 2); kills > 0; kills--) {
      await randomInstant(random);
      const postmaster = await runningPostmaster(scene);
      process.kill(random.chance(0.7) ? postmaster : await childOf(postmaster, random), "SIGKILL");
      if (replicas === 2 && random.chance(0.4)) {
        await scene.kill(1);
        await scene.restart(1);
      }
      if (kills > 1) await load.acknowledges(random.between(1, 60));
    }
    return [];
  },
});

async function runningPostmaster(scene: Scene): Promise<number> {
  return await eventually("PostgreSQL runs", async () => await scene.store.postmaster());
}

/** One of the server's own processes: a connection's, the log writer's, any. */
async function childOf(postmaster: number, random: Random): Promise<number> {
  const children: number[] = [];
  for (const name of await readdir("/proc")) {
    const stat = await readFile(`/proc/${name}/stat`, "utf8").catch(() => "");
    // proc_pid_stat(5): the parent's id is the second field after the name, which may hold anything.
    if (stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(postmaster)) children.push(Number(name));
  }
  return random.pick([postmaster, ...children]);
}
