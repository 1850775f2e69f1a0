/** Faults of what the service stands on: its database, the way there, the disk, the clock. */
import { clockJumps } from "./kinds/clock-jumps.ts";
import { connectionsCut } from "./kinds/connections-cut.ts";
import { connectionsHalfOpen } from "./kinds/connections-half-open.ts";
import { diskFull } from "./kinds/disk-full.ts";
import { postgresKilled } from "./kinds/postgres-killed.ts";
import { testRounds } from "./short-rounds.ts";

testRounds([connectionsCut, connectionsHalfOpen, clockJumps, postgresKilled(2), diskFull]);
