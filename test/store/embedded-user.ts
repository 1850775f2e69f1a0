/**
 * A process that uses the private server, for tests that kill it: starts (argv: options as JSON), prints
 * `{connection, pid}` as a line of JSON, and gives the server up when its stdin ends.
 */
import { startEmbeddedPostgres } from "../../src/store/embedded/embedded-postgres.ts";

const options = JSON.parse(process.argv[2] ?? "{}");
const server = await startEmbeddedPostgres({ ...options, log: () => {} });
process.stdout.write(`${JSON.stringify({ connection: server.connection, pid: server.pid })}\n`);
process.stdin.resume().once("end", () => void server.stop());
