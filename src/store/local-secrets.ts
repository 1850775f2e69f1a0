/** Secrets kept in DATA_DIR beside the embedded server, readable by their owner only. */
import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../config.ts";
import { createDurably, readIfPresent } from "./embedded/durable-file.ts";

/** The master key of DATA_DIR, made on first use; of several processes that start at once all get the same. */
export async function openMasterKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, "master-key");
  // Others may pass through, because the embedded server runs as another user when the service runs as root.
  await mkdir(dataDir, { recursive: true, mode: 0o711 }).catch((error: Error) => {
    throw new ConfigError(`DATA_DIR ${dataDir} cannot be used: ${error.message}`);
  });
  if ((await readIfPresent(path)) === undefined) await createDurably(path, `${randomBytes(32).toString("base64")}\n`);
  const key = Buffer.from((await readIfPresent(path))?.trim() ?? "", "base64");
  if (key.length !== 32) throw new Error(`${path} is not base64 of 32 bytes; restore it, the stored secrets need it`);
  return key;
}

/** Keeps the first API key in DATA_DIR/api-key, in place of what an earlier database may have left there. */
export async function keepApiKey(dataDir: string, key: string): Promise<void> {
  const path = join(dataDir, "api-key");
  await rm(path, { force: true });
  await createDurably(path, `${key}\n`);
}
