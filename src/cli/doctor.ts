/** `doctor`: examines the store, beside a running service or without one; mends with --mend. Exit code 1: work is left. */
import { setTimeout as sleep } from "node:timers/promises";
import { LIMITS, loadConfig, partitionPlan } from "../config.ts";
import { examine } from "../store/doctor/examine.ts";
import { type Finding, KINDS } from "../store/doctor/findings.ts";
import { readOptions } from "./usage.ts";
import { withStore } from "./with-store.ts";

export async function doctor(args: string[]): Promise<number> {
  const { mend = false, json = false } = readOptions(args, { mend: "flag", json: "flag" });
  const config = loadConfig(process.env);
  let findings: Finding[] = [];
  await withStore(config, async ({ upkeepPool }) => {
    findings = await examine(upkeepPool, {
      mend: mend === true,
      limits: LIMITS,
      retentionDays: config.retentionDays,
      partitions: partitionPlan(config),
      leaseMs: config.deliveryLeaseMs,
      rest: async () => {},
      wait: async (ms, kinds) => {
        process.stderr.write(`looking again in ${ms / 1_000} s: ${kinds.join(", ")}\n`);
        await sleep(ms);
      },
      signal: new AbortController().signal,
    });
  });
  process.stdout.write(json === true ? `${JSON.stringify({ findings })}\n` : describe(findings, mend === true));
  return findings.every(({ count, mended }) => mended >= count) ? 0 : 1;
}

/** A table for people: what was found, how much of it, what became of it, and some examples. */
function describe(findings: readonly Finding[], mended: boolean): string {
  if (findings.length === 0) return "nothing is wrong\n";
  const rows = findings.map(({ kind, count, mended }) => [kind, String(count), String(mended)]);
  const head = ["finding", "found", "mended"];
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join("  ")
      .trimEnd();
  const details = findings.flatMap(({ kind, examples }, n) => {
    const { says, mend } = KINDS[kind];
    const advice = mend === null ? "only a person can tell what is right" : `${mended ? "" : "--mend: "}${mend}`;
    return [line(rows[n] ?? []), `    ${says}`, `    ${advice}`, `    such as ${examples.join(", ")}`];
  });
  return `${[line(head), ...details].join("\n")}\n`;
}
