import { setTimeout as sleep } from "node:timers/promises";
import type { Random } from "../random.ts";

/** Lets a random moment pass, so that the fault finds the service at any point of its work. */
export async function randomInstant(random: Random, msMax = 150): Promise<void> {
  await sleep(random.between(0, msMax));
}
