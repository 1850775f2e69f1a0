/** What the service sets out to reach on two cores, its load generator and destination beside it. */
import { report } from "./report.ts";

/** The figure is undefined where it was not measured. */
export type Target = readonly [name: string, figure: number | undefined, relation: "≥" | "≤", bound: number];

export function reportTargets(targets: readonly Target[]): void {
  const rows = targets.map(([name, figure, relation, bound]) => {
    if (figure === undefined) return [name, "–", `${relation} ${bound.toLocaleString("en")}`, "not measured"];
    const reached = relation === "≥" ? figure >= bound : figure <= bound;
    return [name, figure, `${relation} ${bound.toLocaleString("en")}`, reached ? "yes" : "no"];
  });
  report("Targets", ["", "figure", "target", "reached"], rows);
}
