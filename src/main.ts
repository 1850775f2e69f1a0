/** The command line: `node src/main.ts COMMAND`. Exit codes: 0 done, 1 failed, 2 wrong usage or settings. */
import { doctor } from "./cli/doctor.ts";
import { keys } from "./cli/keys.ts";
import { listen } from "./cli/listen.ts";
import { migrateCommand } from "./cli/migrate.ts";
import { serve } from "./cli/serve.ts";
import { UsageError } from "./cli/usage.ts";
import { ConfigError } from "./config.ts";
import { EmbeddedPostgresError } from "./store/embedded/embedded-error.ts";

const COMMANDS: Readonly<Record<string, (args: string[]) => Promise<void> | Promise<number>>> = {
  serve,
  doctor,
  keys,
  listen,
  migrate: migrateCommand,
};

const USAGE = `usage: node src/main.ts COMMAND
  serve [--dev]                          run the service; --dev lets deliveries reach this machine
  listen [--port N] [--secret WHSEC]     run a small destination that prints what is forwarded to it
  keys create --org NAME --name NAME     mint an API key (the organization is made if there is none)
  migrate                                bring the database's schema up to date
  doctor [--mend] [--json]               look for what is amiss in the store, and mend what is safe to mend`;

async function main(): Promise<number> {
  const [command = "", ...args] = process.argv.slice(2);
  if (command === "--help" || command === "-h" || command === "help") {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!run) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  try {
    const code = await run(args);
    return typeof code === "number" ? code : 0;
  } catch (error) {
    return explain(error);
  }
}

/** One line for what people can mend; the whole error for what they cannot. */
function explain(error: unknown): number {
  if (error instanceof ConfigError || error instanceof UsageError) {
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
  const message = error instanceof EmbeddedPostgresError ? error.message : ((error as Error).stack ?? error);
  process.stderr.write(`${message}\n`);
  return 1;
}

process.exitCode = await main();
