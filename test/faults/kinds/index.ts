/** Every kind of fault, in the order in which they are played. */
import type { Kind } from "../rounds.ts";
import { clockJumps } from "./clock-jumps.ts";
import { connectionsCut } from "./connections-cut.ts";
import { connectionsHalfOpen } from "./connections-half-open.ts";
import { diskFull } from "./disk-full.ts";
import { postgresKilled } from "./postgres-killed.ts";
import { processFrozen } from "./process-frozen.ts";
import { replicaKilled } from "./replica-killed.ts";
import { serviceKilled } from "./service-killed.ts";
import { serviceStopped } from "./service-stopped.ts";

export const KINDS: readonly Kind[] = [
  serviceKilled,
  serviceStopped,
  replicaKilled(2),
  replicaKilled(3),
  processFrozen,
  connectionsCut,
  connectionsHalfOpen,
  postgresKilled(1),
  postgresKilled(2),
  diskFull,
  clockJumps,
];
