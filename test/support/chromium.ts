/** Where a Chromium is, and how to come by one. */
import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MACOS = [
  "/Applications/Chromium.app/Contents/MacOS/Chromium",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];
/** How long the package may take to be installed, milliseconds. */
const INSTALL_MS_MAX = 240_000;

/** What it needs to run as root, and what keeps it from calling home. */
export const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** What to tell somebody whose tests in a browser are skipped. */
export const CHROMIUM_ADVICE = "install chromium (apt-get install chromium), or set CHROMIUM_PATH";

/**
 * The executable that CHROMIUM_PATH names, or one in a usual place. Root on Debian gets the package installed where
 * there is none; for anybody else the answer is undefined then.
 */
export async function findChromium(): Promise<string | undefined> {
  const { CHROMIUM_PATH } = process.env;
  if (CHROMIUM_PATH) return CHROMIUM_PATH;
  return (await installed()) ?? (await install());
}

async function installed(): Promise<string | undefined> {
  const directories = (process.env.PATH ?? "").split(delimiter);
  const candidates = [...directories.flatMap((directory) => NAMES.map((name) => join(directory, name))), ...MACOS];
  return await firstExecutable(candidates);
}

async function install(): Promise<string | undefined> {
  const apt = await firstExecutable(["/usr/bin/apt-get"]);
  if (process.getuid?.() !== 0 || apt === undefined) return undefined;
  const options = { timeout: INSTALL_MS_MAX, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  try {
    await run(apt, ["update"], options);
    await run(apt, ["install", "-y", "--no-install-recommends", "chromium"], options);
  } catch {
    // No network, or no such package: as if there were no way to install it.
    return undefined;
  }
  return await installed();
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const isExecutable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isExecutable) return path;
  }
  return undefined;
}
