/** Shows nothing to nobody: for parts that are tested by themselves. */
import { createLogger } from "../../src/observe/logger.ts";
import { Observer } from "../../src/observe/observer.ts";

export const unobserved = new Observer({ logger: createLogger("silent") });
