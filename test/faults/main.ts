/**
 * `npm run test:faults -- --rounds N --seed S [--kind K]`: rounds of each kind of fault, with a table at the end.
 * Exits with 1 if anything did not hold. A round of seed S is played again by `--seed S --rounds 1 --kind K`.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";
import { KINDS } from "./kinds/index.ts";
import { playRounds, type Report } from "./rounds.ts";
import { killLeftovers } from "./service-process.ts";

const { values } = parseArgs({
  options: { rounds: { type: "string" }, seed: { type: "string" }, kind: { type: "string", multiple: true } },
});
const rounds = wholeNumber("rounds", values.rounds ?? "10");
const seed = wholeNumber("seed", values.seed ?? String(Date.now() % 1_000_000));
const kinds = KINDS.filter((kind) => values.kind === undefined || values.kind.includes(kind.name));
if (kinds.length === 0) throw new Error(`--kind takes ${KINDS.map((kind) => kind.name).join(", ")}`);

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} takes a whole number`);
  return Number(text);
}

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** A durable server for the kinds that do not run their own. */
async function withServer(run: (url: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "alumia-faults-server-"));
  await chmod(directory, 0o711);
  const server = await startEmbeddedPostgres({ dataDir: directory, log: () => {}, transport: "loopback" });
  const { user, password, host, port } = server.connection;
  try {
    await run(`postgres://${user}:${password}@${host}:${port}/postgres`);
  } finally {
    await killLeftovers();
    await server.stop({ force: true });
    await rm(directory, { recursive: true, force: true });
  }
}

function table(reports: readonly Report[]): string {
  const head = ["kind", "rounds", "events", "attempts", "interrupted", "duplicates", "seconds", "failed rounds"];
  const rows = reports.map(({ kind, rounds: played, figures, ms, failures }) => [
    kind,
    played,
    figures.events,
    figures.attempts,
    figures.interrupted,
    figures.duplicates,
    Math.round(ms / 1_000),
    failures.length === 0 ? "none" : failures.map((failure) => failure.seed).join(" "),
  ]);
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

say(`seed ${seed}, ${rounds} rounds of each kind`);
const reports: Report[] = [];
await withServer(async (server) => {
  for (const kind of kinds) {
    if (kind.isPossible === false) {
      say(`${kind.name}: not possible on this machine`);
      continue;
    }
    const report = await playRounds(kind, {
      seed,
      rounds,
      server,
      onRound: (of, figures, problems, ms) => {
        const lines = problems.map((problem) => `\n  ${problem}`).join("");
        say(`${kind.name} ${of}: ${ms} ms ${JSON.stringify(figures)}${lines}`);
      },
    });
    for (const failure of report.failures) say(`${kind.name}, seed ${failure.seed}:\n${failure.problems.join("\n")}`);
    reports.push(report);
  }
});
say(table(reports));
process.exitCode = reports.some((report) => report.failures.length > 0) ? 1 : 0;
