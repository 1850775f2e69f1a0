/** The real service in the test's process: its own database, a free port, the real worker. */
import { randomBytes } from "node:crypto";
import type { Pool } from "pg";
import { type App, type AppSeams, startApp } from "../../src/app.ts";
import { type Config, loadConfig } from "../../src/config.ts";
import { createLogger, type Logger } from "../../src/observe/logger.ts";
import { type Api, createApi } from "./api.ts";
import { createTestDatabase } from "./postgres.ts";

/** Shared by every test service, so that replicas on one database open each other's secrets. */
export const TEST_MASTER_KEY = randomBytes(32).toString("base64");
const BOOTSTRAP_KEY = `alm_test_${randomBytes(16).toString("hex")}`;

export interface TestService {
  readonly url: string;
  readonly port: number;
  readonly app: App;
  readonly pool: Pool;
  readonly databaseUrl: string;
  /** API key of the first organization, and a client that uses it. */
  readonly key: string;
  readonly api: Api;
  /** A client of a new organization. */
  otherOrganization(): Promise<Api>;
  /** Makes everything that waits in the queue, and that nobody holds, due `ms` milliseconds earlier, and wakes the worker. */
  advanceQueue(ms: number): Promise<void>;
  stop(): Promise<void>;
}

export interface TestServiceOptions extends AppSeams {
  readonly env?: Readonly<Record<string, string>>;
  /** Another replica of the service on this database; it does not own it. */
  readonly replicaOf?: TestService;
  /** Silent unless given. */
  readonly logger?: Logger;
}

/** Deliveries may reach this machine, and retries are quick; `env` overrides. */
export function testConfig(databaseUrl: string, env: Readonly<Record<string, string>> = {}): Config {
  return loadConfig(
    {
      PORT: "0",
      DATABASE_URL: databaseUrl,
      MASTER_KEY: TEST_MASTER_KEY,
      BOOTSTRAP_API_KEY: BOOTSTRAP_KEY,
      DELIVERY_SCHEDULE: "0s,20ms,1h,2h",
      DELIVERY_TIMEOUT_MS: "5000",
      SHUTDOWN_GRACE_MS: "2000",
      LOG_LEVEL: "silent",
      ...env,
    },
    { dev: true },
  );
}

export async function startService(options: TestServiceOptions = {}): Promise<TestService> {
  const { env, replicaOf, logger, ...seams } = options;
  const database = replicaOf ? undefined : await createTestDatabase();
  const databaseUrl = replicaOf?.databaseUrl ?? database?.url ?? "";
  const config = testConfig(databaseUrl, env);
  const app = await startApp(config, logger ?? createLogger(config.logLevel), seams);
  const { pool, worker } = app;
  return {
    url: app.url,
    port: app.port,
    app,
    pool,
    databaseUrl,
    key: BOOTSTRAP_KEY,
    api: createApi(app.url, BOOTSTRAP_KEY),
    otherOrganization: async () => createApi(app.url, await mintOtherKey(pool)),
    advanceQueue: async (ms) => {
      await pool.query(
        "update delivery_queue set due_at = due_at - $1 * interval '1 millisecond' where lease_token is null",
        [ms],
      );
      worker.wake();
    },
    stop: async () => {
      await app.stop();
      await database?.drop();
    },
  };
}

async function mintOtherKey(pool: Pool): Promise<string> {
  const key = `alm_test_${randomBytes(16).toString("hex")}`;
  await pool.query("insert into organizations (id, name) values (gen_random_uuid(), $1)", [key.slice(-8)]);
  await pool.query(
    `insert into api_keys (id, organization_id, name, prefix, hash, created_at)
     select gen_random_uuid(), id, 'other', $2, sha256($3::bytea), now() from organizations where name = $1`,
    [key.slice(-8), key.slice(0, 12), Buffer.from(key)],
  );
  return key;
}
