/** Opening the port, and saying in one line why it cannot be opened. */
import { createServer } from "node:net";
import { type Config, ConfigError } from "../config.ts";

/** A port of ours, and the variables that say where it is. */
export interface ListenPlace {
  readonly host: string;
  readonly port: number;
  readonly names: { readonly host: string; readonly port: string };
}

export const mainPlace = ({ host, port }: Config): ListenPlace => ({
  host,
  port,
  names: { host: "HOST", port: "PORT" },
});

const LISTEN_PROBLEMS: Readonly<Record<string, (place: ListenPlace) => string>> = {
  EADDRINUSE: ({ host, port, names }) =>
    `${names.port} ${port} on ${host} is in use; set ${names.port} to a free one, or 0 to pick one`,
  EACCES: ({ port, names }) =>
    `${names.port} ${port} may not be opened by this user; set ${names.port} to one above 1023`,
  EADDRNOTAVAIL: ({ host, names }) => `${names.host} ${host} is no address of this machine; try 127.0.0.1 or 0.0.0.0`,
  ENOTFOUND: ({ host, names }) => `${names.host} ${host} does not resolve; try 127.0.0.1 or 0.0.0.0`,
};

/** Listens there; resolves to the port. Rejects with a ConfigError that names the setting at fault. */
export async function listenOrExplain(
  server: { listen(host: string, port: number): Promise<number> },
  place: ListenPlace,
): Promise<number> {
  return await server.listen(place.host, place.port).catch(explain(place));
}

const explain = (place: ListenPlace) => (error: unknown) => {
  const problem = LISTEN_PROBLEMS[(error as { code?: string }).code ?? ""];
  throw problem ? new ConfigError(problem(place)) : error;
};

/** Refuses a port that cannot be opened before anything else is begun; `listenOrExplain` has the last word. */
export async function checkPort(place: ListenPlace): Promise<void> {
  const probe = createServer();
  const listening = new Promise<void>((resolve, reject) => {
    probe.once("error", reject);
    probe.listen({ host: place.host, port: place.port }, resolve);
  });
  await listening.catch(explain(place));
  await new Promise((resolve) => probe.close(resolve));
}

/** The origin to show for a listening address; a wildcard is reached through loopback. */
export function originOf({ host, tls }: Pick<Config, "host" | "tls">, port: number): string {
  const name = host === "0.0.0.0" || host === "::" ? "127.0.0.1" : host;
  return `${tls ? "https" : "http"}://${name.includes(":") ? `[${name}]` : name}:${port}`;
}
