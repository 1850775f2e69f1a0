/** `migrate`: brings the schema up to date and exits; `serve` does the same when it starts. */
import { loadConfig } from "../config.ts";
import { readOptions } from "./usage.ts";
import { withStore } from "./with-store.ts";

export async function migrateCommand(args: string[]): Promise<void> {
  readOptions(args, {});
  await withStore(loadConfig(process.env), async ({ applied }) => {
    for (const name of applied) process.stdout.write(`applied ${name}\n`);
    process.stdout.write("the schema is up to date\n");
  });
}
