/** `npm run bench [-- NAME …]`: how fast the parts are, each beside a baseline that runs in the same minute. */
import { bulkBench } from "./bulk.ts";
import { edgeBench } from "./edge.ts";
import { inTime } from "./in-time.ts";
import { isolationBench } from "./isolation.ts";
import { writeReport } from "./report.ts";
import { serviceBench } from "./service.ts";
import { verifyBench } from "./verify.ts";

const BENCHES: Readonly<Record<string, () => Promise<unknown>>> = {
  service: serviceBench,
  edge: () => inTime("edge", 30, edgeBench),
  verify: verifyBench,
  isolation: () => inTime("isolation", 70, isolationBench),
  bulk: () => inTime("bulk", 170, bulkBench),
};

/** What runs when none is named, in three minutes; the others have some of their own. */
const BY_DEFAULT = ["service", "edge", "verify"];
const RESULTS = "bench-results.json";
const asked = process.argv.slice(2);
const unknown = asked.find((name) => !Object.hasOwn(BENCHES, name));
if (unknown !== undefined) throw new Error(`no bench ${unknown}; there are: ${Object.keys(BENCHES).join(", ")}`);
for (const [name, run] of Object.entries(BENCHES)) {
  if ((asked.length === 0 ? BY_DEFAULT : asked).includes(name)) await run();
}
await writeReport(RESULTS);
