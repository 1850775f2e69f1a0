/**
 * Where rounds of faults take place: service replicas as processes, the PostgreSQL that they share, a destination,
 * and the load of one round at a time on a webhook of its own.
 */
import type { Pool } from "pg";
import { eventually } from "../support/eventually.ts";
import type { PostgresProxy } from "../support/postgres-proxy.ts";
import { type ArrivalBook, startArrivalBook } from "./arrivals.ts";
import { Load } from "./load.ts";
import type { Random } from "./random.ts";
import { type ServiceProcess, startServiceProcess } from "./service-process.ts";
import { makeSmallDisk, type SmallDisk } from "./small-disk.ts";
import { makeDatabase, makeDataDirectory, type SceneStore } from "./store.ts";

/** Shortest lease that the service takes, so that a round sees leases end, milliseconds. */
export const LEASE_MS = 1_000;
/** Time within which a stop must end, milliseconds. */
export const GRACE_MS = 5_000;
/** Delays of the schedule; the attempts of a delivery that always fails. */
export const SCHEDULE = "0s,50ms,100ms,200ms";
/** Longest that a round waits for all that is due to end, milliseconds. */
const SETTLED_MS_MAX = 60_000;
/** Tables that grow with the events of a round. */
const HISTORY = ["delivery_queue", "delivery_attempts", "deliveries", "event_dedupe", "events"];
/** What is due later than that stays scheduled, milliseconds. */
export const LATER_MS = 600_000;

export interface SceneOptions {
  readonly replicas: number;
  /** Size of the small disk that the services' own PostgreSQL lies on, MiB. */
  readonly diskMebibytes?: number;
  /** The services run their own PostgreSQL. Otherwise they use a database of the server that the tests have. */
  readonly embedded?: boolean;
  /** A proxy stands between services and database. */
  readonly proxied?: boolean;
  /** The services' wall clocks can be set. */
  readonly settableClock?: boolean;
}

export interface RoundWebhook {
  readonly id: string;
  readonly secret: string;
}

export class Scene {
  readonly pool: Pool;
  readonly arrivals: ArrivalBook;
  readonly store: SceneStore;
  readonly #options: SceneOptions;
  readonly #disk: SmallDisk | undefined;
  readonly #replicas: ServiceProcess[];
  /** Replicas that were told to end. */
  readonly #ending = new Set<ServiceProcess>();

  private constructor(parts: {
    options: SceneOptions;
    disk: SmallDisk | undefined;
    store: SceneStore;
    pool: Pool;
    arrivals: ArrivalBook;
    replicas: ServiceProcess[];
  }) {
    this.#options = parts.options;
    this.#disk = parts.disk;
    this.#replicas = parts.replicas;
    this.store = parts.store;
    this.pool = parts.pool;
    this.arrivals = parts.arrivals;
  }

  /** `server`: URL of a PostgreSQL where databases may be made. */
  static async start(options: SceneOptions, server: string): Promise<Scene> {
    const disk = options.diskMebibytes === undefined ? undefined : await makeSmallDisk(options.diskMebibytes);
    const embedded = options.embedded === true || disk !== undefined;
    const store = embedded ? await makeDataDirectory(disk?.path) : await makeDatabase(server, options.proxied === true);
    const arrivals = await startArrivalBook();
    // One after the other: the first makes the schema and the API key.
    const replicas: ServiceProcess[] = [];
    for (let n = 0; n < options.replicas; n++) replicas.push(await startReplica(store, options));
    return new Scene({ options, disk, store, pool: await store.connect(), arrivals, replicas });
  }

  /** How many replicas there are, running or not. */
  get size(): number {
    return this.#replicas.length;
  }

  get proxy(): PostgresProxy {
    if (!this.store.proxy) throw new Error("this scene has no proxy");
    return this.store.proxy;
  }

  get disk(): SmallDisk {
    if (!this.#disk) throw new Error("this scene has no small disk");
    return this.#disk;
  }

  replica(n: number): ServiceProcess {
    const replica = this.#replicas[n];
    if (!replica) throw new Error(`this scene has no replica ${n}`);
    return replica;
  }

  /** Makes the webhook of a round and begins to send to it, over whatever replicas run. */
  async startLoad(seed: number, random: Random): Promise<{ load: Load; webhook: RoundWebhook }> {
    const { body } = await this.replica(0).api.post("/webhooks", { name: `round ${seed}`, url: this.arrivals.url });
    const webhook: RoundWebhook = { id: body.id, secret: body.secret };
    const receiveUrls = () => this.#running().map(({ url }) => `${url}/api/v1/webhooks/receive/${webhook.id}`);
    return { webhook, load: new Load({ secret: webhook.secret, receiveUrls }, seed, random.between(4, 24)) };
  }

  /** Kills a replica outright. */
  async kill(n: number): Promise<void> {
    const replica = this.replica(n);
    this.#ending.add(replica);
    replica.signal("SIGKILL");
    await replica.exited;
  }

  /** Tells a replica to end; resolves to what was wrong with how it ended. */
  async stop(n: number): Promise<string[]> {
    const replica = this.replica(n);
    this.#ending.add(replica);
    const askedMs = performance.now();
    replica.signal("SIGTERM");
    const exit = await replica.exited;
    const tookMs = Math.round(performance.now() - askedMs);
    const problems: string[] = [];
    if (exit.code !== 0) problems.push(`a stop ended with ${exit.code ?? exit.signal}`);
    if (exit.stderr !== "") problems.push(`a stop said: ${exit.stderr}`);
    if (tookMs > GRACE_MS) problems.push(`a stop took ${tookMs} ms`);
    return problems;
  }

  /** Starts a replica in place of one that has ended. */
  async restart(n: number): Promise<void> {
    this.#ending.delete(this.replica(n));
    this.#replicas[n] = await startReplica(this.store, this.#options);
  }

  /** Resolves when nothing of the webhook is under way, or due before long. */
  async settled(webhook: RoundWebhook): Promise<void> {
    const owed = `select delivery_id, due_at - now() as due_in, lease_token is not null as leased, started_at, attempts, held
      from delivery_queue where webhook_id = $1 and (lease_token is not null
      or started_at is not null or due_at < now() + $2 * interval '1 millisecond') limit 5`;
    let rows: unknown[] | undefined;
    const look = async () => {
      rows = (await this.pool.query(owed, [webhook.id, LATER_MS]).catch(() => undefined))?.rows;
      return rows?.length === 0;
    };
    await eventually("nothing is under way or due", look, SETTLED_MS_MAX).catch((error: Error) => {
      throw new Error(`${error.message}, but ${JSON.stringify(rows)}`);
    });
  }

  /** What is wrong with the processes: each must run and be ready. */
  async health(): Promise<string[]> {
    const problems = this.#replicas.map(async (replica, n) => {
      if (!replica.alive) return `replica ${n} has ended: ${replica.log()}`;
      const ready = async () => (await fetch(`${replica.url}/readyz`)).status === 200;
      return await eventually(`replica ${n} is ready`, ready, SETTLED_MS_MAX).then(
        () => "",
        (error: Error) => error.message,
      );
    });
    return (await Promise.all(problems)).filter((problem) => problem !== "");
  }

  /** The ends of the replicas' logs. */
  logs(): string {
    return this.#replicas.map((replica, n) => `replica ${n}:\n${replica.log()}`).join("\n");
  }

  /** Removes what a round has left, so that rounds do not grow. */
  async clear(webhook: RoundWebhook): Promise<void> {
    this.arrivals.forget(webhook.id);
    // One at a time: together they could deadlock with the services' own statements.
    for (const table of HISTORY) await this.pool.query(`truncate ${table}`);
    await this.pool.query("delete from webhooks where id = $1", [webhook.id]);
    // Gives the space of the log back, which a small disk needs.
    if (this.#disk) await this.pool.query("checkpoint");
  }

  async remove(): Promise<void> {
    for (const replica of this.#replicas) {
      replica.signal("SIGCONT");
      replica.signal("SIGKILL");
    }
    await Promise.all(this.#replicas.map((replica) => replica.exited));
    await this.#disk?.free();
    await Promise.all([this.store.remove(), this.arrivals.close()]);
    await this.#disk?.remove();
  }

  #running(): ServiceProcess[] {
    return this.#replicas.filter((replica) => replica.alive && !this.#ending.has(replica));
  }
}

async function startReplica(store: SceneStore, options: SceneOptions): Promise<ServiceProcess> {
  const env = {
    ...store.env,
    DELIVERY_LEASE_MS: String(LEASE_MS),
    DELIVERY_SCHEDULE: SCHEDULE,
    DELIVERY_TIMEOUT_MS: "5000",
    CIRCUIT_OPEN_MS: "500",
    SHUTDOWN_GRACE_MS: String(GRACE_MS),
  };
  return await startServiceProcess(env, options.settableClock);
}
