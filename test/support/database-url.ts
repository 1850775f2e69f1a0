/** Name of the database that test databases are cloned from. Nobody may be connected to it while tests run. */
export const TEMPLATE = "alumia_template";

/** The same server's URL with another database. */
export function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
