/** Fails (exit 1) if `gen/` is not exactly what `buf generate` makes of the protos, or docs/providers.md of the presets. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROVIDERS_FILE, providersMarkdown } from "../../docs/providers.ts";

function contents(root: string): Map<string, string> {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(root.length), readFileSync(path, "utf8")];
    }),
  );
}

const fresh = mkdtempSync(join(tmpdir(), "alumia-gen-"));
try {
  execFileSync("buf", ["generate", "--output", fresh], { stdio: "inherit" });
  const made = contents(join(fresh, "gen"));
  const committed = contents("gen");
  const stale = [...new Set([...made.keys(), ...committed.keys()])].filter(
    (path) => made.get(path) !== committed.get(path),
  );
  if (readFileSync(PROVIDERS_FILE, "utf8") !== providersMarkdown()) stale.push("docs/providers.md");
  if (stale.length > 0) {
    process.stderr.write(`not current (run npm run generate): ${stale.join(", ")}\n`);
    process.exitCode = 1;
  }
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
