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
    process.once("SIGTERM", resolve);
    process.once("SIGINT", resolve);
  });
  const embedded = config.databaseUrl === undefined;
  const app = await startApp(
    config,
    logger,
    embedded ? { keepBootstrapKey: (key) => keepApiKey(config.dataDir, key) } : {},
  );
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
  if (app.bootstrapKey !== undefined) {
    lines.push(...keyLines(app.bootstrapKey, keyFile, config.bootstrapApiKey !== undefined));
  }
  const key = keyFile ? `$(cat ${keyFile})` : "$ALUMIA_API_KEY";
  lines.push(
    "",
    "Next, create a webhook:",
    `  curl -s ${app.url}/api/v1/webhooks -H "authorization: Bearer ${key}" \\`,
    `    -H 'content-type: application/json' -d '{"name":"My first webhook"}'`,
  );
  process.stdout.write(`${lines.join("\n")}\n`);
}

function keyLines(key: string, keyFile: string | undefined, supplied: boolean): string[] {
  if (supplied) return ["API key: the one in BOOTSTRAP_API_KEY"];
  const kept = keyFile ? `kept in ${keyFile}` : "kept nowhere else";
  if (process.stdout.isTTY) return [`API key (shown once, ${kept}): ${key}`];
  if (keyFile) return [`API key: ${kept}`];
  return [
    "API key: standard output is no terminal, so it is not shown; mint one with: npm run keys -- create --org default --name NAME",
  ];
}

function display(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("..") ? path : `./${short}`;
}
