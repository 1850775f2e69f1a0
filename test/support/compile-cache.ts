/** Where a service that is started as a process of its own keeps its compiled code, as `npm start` has it. */
import { fileURLToPath } from "node:url";

export const COMPILE_CACHE = {
  NODE_COMPILE_CACHE: fileURLToPath(new URL("../../node_modules/.cache/node", import.meta.url)),
};
