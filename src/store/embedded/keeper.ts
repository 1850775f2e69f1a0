/**
 * The keeper: one idle connection that each process of ours holds open to the private server. It proves that the
 * server serves our very directory, tells at once when the server dies, and is what others count before they stop it.
 */
import { Socket } from "node:net";
import { resolve } from "node:path";
import { Client } from "pg";
import { codeOf, EmbeddedPostgresError, messageOf } from "./embedded-error.ts";

export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** Name of a keeper in pg_stat_activity. */
const KEEPER = "alumia-keeper";
/** Longest wait for one connection or one answer, milliseconds. */
const CONNECT_MS_MAX = 5_000;
const ANSWER_MS_MAX = 30_000;
/** What a server says that is starting, stopping, full or gone; trying again may help. */
const PASSING = new Set(["57P03", "57P01", "53300", "ECONNREFUSED", "ECONNRESET", "ENOENT", "EPIPE", "EAGAIN"]);

/** The server is there but does not take connections now. */
export class NotAcceptingError extends EmbeddedPostgresError {}

export class Keeper {
  readonly #client: Client;
  readonly #socket: Socket;
  #open = true;

  private constructor(client: Client, socket: Socket, onLost: () => void) {
    this.#client = client;
    this.#socket = socket;
    client.once("end", () => {
      if (this.#open) onLost();
      this.#open = false;
    });
  }

  /**
   * Connects, creating the database on the first start. `onLost` is called once if the server ends the connection.
   *
   * @param cluster the data directory that the server must serve.
   * @throws NotAcceptingError when trying again may help, EmbeddedPostgresError when it will not.
   */
  static async connect(connection: Connection, cluster: string, onLost: () => void): Promise<Keeper> {
    const { client, socket } = await connectOrCreate(connection);
    try {
      const { rows } = await client.query<{ path: string }>("select current_setting('data_directory') as path");
      const served = rows[0]?.path;
      if (served === undefined || resolve(served) !== cluster) {
        throw new EmbeddedPostgresError(
          `the PostgreSQL at ${connection.host} serves ${served}, not ${cluster}: stop it`,
        );
      }
    } catch (error) {
      await client.end().catch(() => {});
      throw sorted(error);
    }
    // A process that has nothing else to do may end without saying goodbye.
    socket.unref();
    return new Keeper(client, socket, onLost);
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** How many other processes of ours hold a keeper. */
  async countOthers(): Promise<number> {
    this.#socket.ref();
    const { rows } = await this.#client.query<{ others: number }>(
      "select count(*)::int as others from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()",
      [KEEPER],
    );
    return rows[0]?.others ?? 0;
  }

  /** Disconnects; once it resolves nobody counts this keeper any more. */
  async close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.ref();
    await this.#client.end().catch(() => {});
  }
}

interface Connected {
  readonly client: Client;
  readonly socket: Socket;
}

async function connectOrCreate(connection: Connection): Promise<Connected> {
  try {
    return await connectClient(connection);
  } catch (error) {
    // 3D000: the database does not exist.
    if (codeOf(error) !== "3D000") throw sorted(error);
  }
  try {
    await createDatabase(connection);
    return await connectClient(connection);
  } catch (error) {
    throw sorted(error);
  }
}

async function createDatabase(connection: Connection): Promise<void> {
  const { client } = await connectClient({ ...connection, database: "postgres" });
  try {
    await client.query(`create database ${client.escapeIdentifier(connection.database)}`);
  } catch (error) {
    // 42P04, 23505: another process was first.
    if (!["42P04", "23505"].includes(codeOf(error))) throw error;
  } finally {
    await client.end().catch(() => {});
  }
}

async function connectClient(connection: Connection): Promise<Connected> {
  const socket = new Socket();
  const client = new Client({
    ...connection,
    stream: () => socket,
    application_name: KEEPER,
    connectionTimeoutMillis: CONNECT_MS_MAX,
    query_timeout: ANSWER_MS_MAX,
    keepAlive: true,
  });
  // The end of the connection is what counts; without a listener its error would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
    return { client, socket };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

function sorted(error: unknown): EmbeddedPostgresError {
  if (error instanceof EmbeddedPostgresError) return error;
  const message = `PostgreSQL does not answer: ${messageOf(error)}`;
  const passing = PASSING.has(codeOf(error)) || /terminated unexpectedly|timeout/i.test(messageOf(error));
  return passing ? new NotAcceptingError(message, error) : new EmbeddedPostgresError(message, error);
}
