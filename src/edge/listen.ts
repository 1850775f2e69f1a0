/** Opening the port, and saying in one line why it cannot be opened. */
import { createServer } from "node:net";
import { type Config, ConfigError } from "../config.ts";
import type { Listener } from "./listener.ts";

const LISTEN_PROBLEMS: Readonly<Record<string, (config: Config) => string>> = {
  EADDRINUSE: ({ host, port }) => `PORT ${port} on ${host} is in use; set PORT to a free one, or 0 to pick one`,
  EACCES: ({ port }) => `PORT ${port} may not be opened by this user; set PORT to one above 1023`,
  EADDRNOTAVAIL: ({ host }) => `HOST ${host} is no address of this machine; try 127.0.0.1 or 0.0.0.0`,
  ENOTFOUND: ({ host }) => `HOST ${host} does not resolve; try 127.0.0.1 or 0.0.0.0`,
};

/** Listens where the configuration says; resolves to the port. Rejects with a ConfigError that names the setting. */
export async function listenOrExplain(listener: Listener, config: Config): Promise<number> {
  return await listener.listen(config.host, config.port).catch(explain(config));
}

const explain = (config: Config) => (error: unknown) => {
  const problem = LISTEN_PROBLEMS[(error as { code?: string }).code ?? ""];
  throw problem ? new ConfigError(problem(config)) : error;
};

/** Refuses a port that cannot be opened before anything else is begun; `listenOrExplain` has the last word. */
export async function checkPort(config: Config): Promise<void> {
  const probe = createServer();
  const listening = new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen({ host: config.host, port: config.port }, resolve);
  });
  await listening.catch(explain(config));
  await new Promise((resolve) => probe.close(resolve));
}

/** The origin to show for a listening address; a wildcard is reached through loopback. */
export function originOf({ host, tls }: Config, port: number): string {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${tls ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
