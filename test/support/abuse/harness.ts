/**
 * Abuse of the port, made by a process of its own, while a well-behaved client in another one goes on asking. What the
 * client saw and how the memory of the service (which runs in the test's process) grew is measured, and printed at the
 * end of the file.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import type { ListenerCounts } from "../../../src/edge/listener.ts";
import { eventually } from "../eventually.ts";
import type { Task, TaskResult } from "./child.ts";
import type { GoodReport, GoodRequest } from "./good-client.ts";

const CHILD = fileURLToPath(new URL("./child.ts", import.meta.url));
const GOOD_CLIENT = new URL("./good-client.ts", import.meta.url);
/** How often memory is looked at, milliseconds. */
const SAMPLE_MS = 25;
const MIB = 1024 * 1024;

export interface AbuseOptions {
  readonly port: number;
  /** What is open at the port: after an abuse, what was before it. */
  readonly counts: () => ListenerCounts;
  /** What the well-behaved client asks, again and again. */
  readonly requests: readonly GoodRequest[];
}

/** An exported function of a module: it makes the abuse, closes what it opened, and resolves to what it saw. */
export interface Attack {
  readonly module: URL;
  readonly name: string;
  /** Sent as JSON. */
  readonly args?: unknown;
}

export interface AbuseOutcome<Report> {
  readonly report: Report;
  readonly good: {
    readonly count: number;
    readonly failures: string[];
    readonly p50Ms: number;
    readonly p99Ms: number;
  };
  /** Growth over what it was before the abuse, at its highest. */
  readonly memory: { readonly rssMiB: number; readonly heapMiB: number };
}

export class AbuseHarness {
  readonly #options: AbuseOptions;
  readonly #rows: string[] = [];

  constructor(options: AbuseOptions) {
    this.#options = options;
  }

  /**
   * Makes the abuse and waits until everything that it opened is released. Expects that the well-behaved client was
   * served throughout.
   */
  async run<Report>(title: string, attack: Attack): Promise<AbuseOutcome<Report>> {
    const { port, counts, requests } = this.#options;
    const before = counts();
    const good = start<GoodReport>({ module: GOOD_CLIENT, name: "beGood", args: { port, requests } });
    try {
      await good.ready;
      const memory = watchMemory();
      const report = await start<Report>({ ...attack, args: attack.args }).report;
      const grown = memory.stop();
      await eventually(`everything is released after ${title}: ${JSON.stringify(counts())}`, async () =>
        isQuiet(counts(), before),
      );
      good.child.send("stop");
      const outcome = { report, good: summary(await good.report), memory: grown };
      this.#rows.push(row(title, outcome));
      expect(outcome.good.failures).toEqual([]);
      return outcome;
    } finally {
      good.child.kill();
    }
  }

  /** Prints what was measured. For afterAll. */
  print(): void {
    process.stdout.write(`${[HEAD, ...this.#rows].join("\n")}\n`);
  }
}

/** Whether nothing is open but what was before, and the well-behaved client's connection. */
const isQuiet = (now: ListenerCounts, before: ListenerCounts) =>
  now.connections <= before.connections + 1 &&
  now.answers <= 1 &&
  now.bodies <= 1 &&
  now.silent + now.sessions + now.streams === 0;

function start<Report>({ module, name, args }: { module: URL; name: string; args?: unknown }) {
  const child: ChildProcess = fork(CHILD, { stdio: ["ignore", "inherit", "inherit", "ipc"], execArgv: [] });
  const task: Task = { module: module.href, name, args };
  child.send(task);
  const ready = once(child, "message");
  const report = new Promise<Report>((resolve, reject) => {
    child.on("message", (message: TaskResult | "ready") => {
      if (message === "ready") return;
      child.kill();
      if ("error" in message) reject(new Error(message.error));
      else resolve(message.report as Report);
    });
    child.once("exit", (code) => reject(new Error(`the process of ${name} ended with ${code}`)));
  });
  // Whoever waits for the report hears of its failure; nobody else has to.
  report.catch(() => {});
  return { child, ready, report };
}

function watchMemory() {
  const before = process.memoryUsage();
  let rss = before.rss;
  let heap = before.heapUsed + before.external;
  const look = () => {
    const now = process.memoryUsage();
    rss = Math.max(rss, now.rss);
    heap = Math.max(heap, now.heapUsed + now.external);
  };
  const timer = setInterval(look, SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return {
        rssMiB: Math.round((rss - before.rss) / MIB),
        heapMiB: Math.round((heap - before.heapUsed - before.external) / MIB),
      };
    },
  };
}

function summary({ latenciesMs, failures }: GoodReport) {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return { count: sorted.length, failures, p50Ms: at(0.5), p99Ms: at(0.99) };
}

const WIDTHS = [44, 9, 9, 9, 9, 9];
const columns = (cells: readonly (string | number)[]) =>
  cells
    .map((cell, index) => (index === 0 ? String(cell).padEnd(44) : String(cell).padStart(WIDTHS[index] ?? 9)))
    .join(" ");
const HEAD = columns(["while", "served", "p50 ms", "p99 ms", "rss MiB", "heap MiB"]);

const row = (title: string, { good, memory }: AbuseOutcome<unknown>) =>
  columns([title, good.count, good.p50Ms.toFixed(1), good.p99Ms.toFixed(1), `+${memory.rssMiB}`, `+${memory.heapMiB}`]);
