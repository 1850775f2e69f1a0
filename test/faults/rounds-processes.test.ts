/** Faults of the service's own processes. */
import { processFrozen } from "./kinds/process-frozen.ts";
import { replicaKilled } from "./kinds/replica-killed.ts";
import { serviceKilled } from "./kinds/service-killed.ts";
import { serviceStopped } from "./kinds/service-stopped.ts";
import { testRounds } from "./short-rounds.ts";

testRounds([serviceKilled, serviceStopped, replicaKilled(3), processFrozen]);
