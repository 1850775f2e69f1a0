/** `serve`: runs the service until SIGTERM or SIGINT. */
import { relative } from "node:path";
import { type App, startApp } from "../app.ts";
import { type Config, loadConfig } from "../config.ts";
import { createLogger } from "../observe/logger.ts";
import { keepApiKey } from "../store/local-secrets.ts";
import { readOptions } from "./usage.ts";

export async function serve(args: string[]): Promise<void> {
  const { dev } = readOptions(args, { dev: "flag" });
  const config = loadConfig(process.env, { dev: dev === true });
  const logger = createLogger(config.logLevel);
  const stopAsked = new Promise<NodeJS.Signals>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, resolve);
  });
  const embedded = config.databaseUrl === undefined;
  const app = await startApp(config, logger, {
    // A key that is neither kept nor shown would be of use to nobody, and valid for ever.
    generateBootstrapKey: embedded || process.stdout.isTTY === true,
    ...(embedded ? { keepBootstrapKey: (key: string) => keepApiKey(config.dataDir, key) } : {}),
  });
  announce(app, config);
  const signal = await stopAsked;
  logger.info({ signal }, "stopping");
  await app.stop();
  logger.info("stopped");
}

/** What a person needs next, on standard output. The key itself is shown on a terminal only. */
function announce(app: App, config: Config): void {
  const lines = [`Alumia Webhooks is ready at ${app.url}`];
  const embedded = config.databaseUrl === undefined;
  const keyFile = embedded ? display(`${config.dataDir}/api-key`) : undefined;
  if (app.keyless)
    lines.push("There is no API key yet; mint one with: npm run keys -- create --org default --name NAME");
  if (app.bootstrapKey !== undefined) lines.push(describeKey(app.bootstrapKey, keyFile, config));
  const key = keyFile ? `$(cat ${keyFile})` : "$ALUMIA_API_KEY";
  lines.push(
    "",
    "Next, create a webhook:",
    `  curl -s ${app.url}/api/v1/webhooks -H "authorization: Bearer ${key}" \\`,
    `    -H 'content-type: application/json' -d '{"name":"My first webhook"}'`,
  );
  process.stdout.write(`${lines.join("\n")}\n`);
}

function describeKey(key: string, keyFile: string | undefined, config: Config): string {
  if (config.bootstrapApiKey !== undefined) return "API key: the one in BOOTSTRAP_API_KEY";
  if (!process.stdout.isTTY) return `API key: kept in ${keyFile}`;
  return `API key (shown once, kept ${keyFile ? `in ${keyFile}` : "nowhere else"}): ${key}`;
}

function display(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : `./${short}`;
}
