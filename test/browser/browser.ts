/** A headless Chromium with pages of other origins, which run the scenarios of page.ts. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { build } from "rolldown";
import { CHROMIUM_FLAGS } from "../support/chromium.ts";
import type { scenarios, Target } from "./page.ts";

type Scenarios = typeof scenarios;
type Arguments<Name extends keyof Scenarios> =
  Parameters<Scenarios[Name]> extends [Target, ...infer Rest] ? Rest : never;

export interface PageServer {
  readonly origin: string;
  close(): void;
}

/** Serves an empty page with the scenarios on an origin of its own. */
export async function servePage(): Promise<PageServer> {
  const { output } = await build({
    input: fileURLToPath(new URL("page.ts", import.meta.url)),
    platform: "browser",
    write: false,
    logLevel: "warn",
  });
  const script = output[0].code;
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><script type="module" src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

export const launch = (executablePath: string): Promise<Browser> =>
  chromium.launch({ executablePath, args: CHROMIUM_FLAGS, timeout: 60_000 });

export async function open(browser: Browser, origin: string): Promise<Page> {
  const page = await browser.newPage();
  await page.goto(origin);
  return page;
}

/** Runs a scenario in the page; resolves to its outcome. */
export async function run<Name extends keyof Scenarios>(
  page: Page,
  name: Name,
  target: Target,
  ...rest: Arguments<Name>
): Promise<Awaited<ReturnType<Scenarios[Name]>>> {
  return await page.evaluate(
    ([called, args]) => {
      const { scenarios } = globalThis as unknown as { scenarios: Record<string, (...args: unknown[]) => unknown> };
      return scenarios[called]?.(...args) as never;
    },
    [name, [target, ...rest]] as [string, unknown[]],
  );
}
