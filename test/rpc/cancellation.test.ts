/** Calls that end while the database makes them wait: their statements end, and everything they held is free. */
import { once } from "node:events";
import { connect } from "node:http2";
import { create, type DescMessage, type DescMethodUnary } from "@bufbuild/protobuf";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiKeyService } from "../../gen/alumia/webhooks/v1/api_key_service_pb.ts";
import { WebhookService } from "../../gen/alumia/webhooks/v1/webhook_service_pb.ts";
import { LIMITS } from "../../src/config.ts";
import { eventually } from "../support/eventually.ts";
import { rememberErrors } from "../support/log.ts";
import { startService, type TestService } from "../support/service.ts";
import { type Call, type Protocol, protocolsOf } from "./protocols.ts";
import type { RestCall } from "./rest-protocol.ts";

/** More than a pool has connections. */
const CALLS = LIMITS.hotPoolConnectionsMax + LIMITS.ormPoolConnectionsMax + 4;
/** Long enough for a call to reach its lock, milliseconds. */
const TIMEOUT_MS = 150;

const log = rememberErrors();
let service: TestService;
let protocols: readonly Protocol[];
let id: string;
let holder: Client;
let observer: Client;

beforeAll(async () => {
  service = await startService({ logger: log.logger });
  protocols = protocolsOf(service.port);
  id = (await service.api.post("/webhooks", { name: "locked" })).body.id;
  holder = new Client({ connectionString: service.databaseUrl });
  observer = new Client({ connectionString: service.databaseUrl });
  await Promise.all([holder.connect(), observer.connect()]);
  // Until the file is done, whatever reads webhooks with their counters or writes this one waits. API keys do not.
  await holder.query("begin");
  await holder.query("lock table webhook_counters in access exclusive mode");
  await holder.query("select 1 from webhooks where id = $1 for update", [id]);
});
afterAll(async () => {
  for (const protocol of protocols ?? []) protocol.close();
  await Promise.all([holder?.end(), observer?.end()]);
  await service?.stop();
});

function callOf(
  method: DescMethodUnary<DescMessage, DescMessage>,
  fields: Readonly<Record<string, unknown>>,
  [verb, path, body]: RestCall,
): Call {
  const headers = [["authorization", `Bearer ${service.key}`]] as const;
  return { method, request: create(method.input, fields), headers, rest: [verb, `/api/v1${path}`, body] };
}

/** An entity read, an entity write, and a transaction of hand-written statements. */
const WAITING: Readonly<Record<string, () => Call>> = {
  ListWebhooks: () => callOf(WebhookService.method.listWebhooks, {}, ["GET", "/webhooks"]),
  UpdateWebhook: () => {
    const change = { name: "changed" };
    const fields = { webhook: { id, ...change } };
    return callOf(WebhookService.method.updateWebhook, fields, ["PATCH", `/webhooks/${id}`, change]);
  },
  DeleteWebhook: () => callOf(WebhookService.method.deleteWebhook, { id }, ["DELETE", `/webhooks/${id}`]),
};
const listKeys = () => callOf(ApiKeyService.method.listApiKeys, {}, ["GET", "/api-keys"]);

/** Sessions of the service that are not idle. The delivery worker's waits on nobody's behalf: it does not count. */
async function waiting(): Promise<number> {
  const { rows } = await observer.query<{ count: number }>(
    `select count(*)::int from pg_stat_activity
     where datname = current_database() and application_name in ('alumia-hot', 'alumia-orm')
       and state in ('active', 'idle in transaction') and query not like '%with late as%'`,
  );
  return rows[0]?.count ?? 0;
}

const begun = () => eventually("a statement waits", async () => (await waiting()) > 0 || undefined);
const over = () => eventually("no statement waits", async () => (await waiting()) === 0 || undefined);

describe.each(Object.entries(WAITING))("%s", (_name, callWaiting) => {
  test("passes its deadline: the statement ends, in every protocol", async () => {
    for (const protocol of protocols) {
      const { code } = await protocol.call({ ...callWaiting(), timeoutMs: TIMEOUT_MS });
      expect([protocol.name, code.replace(/^504 DEADLINE_EXCEEDED$/, "DeadlineExceeded")]).toEqual([
        protocol.name,
        "DeadlineExceeded",
      ]);
      await over();
    }
  });

  test("is cancelled: the statement ends, in every protocol", async () => {
    for (const protocol of protocols) {
      const client = new AbortController();
      const outcome = protocol.call({ ...callWaiting(), signal: client.signal });
      await begun();
      client.abort();
      expect([protocol.name, (await outcome).code]).toEqual([protocol.name, "Canceled"]);
      await over();
    }
  });

  test("is cancelled more often than there are connections: all are free again", async () => {
    for (const protocol of protocols) {
      const client = new AbortController();
      const call = { ...callWaiting(), signal: client.signal };
      const outcomes = Promise.all(Array.from({ length: CALLS }, () => protocol.call(call)));
      await begun();
      client.abort();
      await outcomes;
      const { code } = await protocol.call(listKeys());
      expect([protocol.name, code]).toEqual([protocol.name, protocol.family === "rest" ? "200" : "Ok"]);
      await over();
    }
  });
});

test("a connection that breaks ends what all of its calls wait for", async () => {
  const session = connect(service.url);
  for (let call = 0; call < CALLS; call++) {
    const headers = { ":path": "/api/v1/webhooks", authorization: `Bearer ${service.key}` };
    session.request(headers).on("error", () => {});
  }
  await begun();
  session.destroy();
  await once(session, "close");
  await over();
});

test("a call whose key cannot be looked up passes its deadline all the same, in every protocol", async () => {
  await observer.query("begin");
  await observer.query("lock table api_keys in access exclusive mode");
  for (const protocol of protocols) {
    const { code } = await protocol.call({ ...listKeys(), timeoutMs: TIMEOUT_MS });
    expect([protocol.name, code.replace(/^504 /, "").replace("DEADLINE_EXCEEDED", "DeadlineExceeded")]).toEqual([
      protocol.name,
      "DeadlineExceeded",
    ]);
  }
  await observer.query("rollback");
});

test("none of it is a fault of ours: nothing is logged as one", () => {
  expect(log.errors).toEqual([]);
});

test("nothing has changed", async () => {
  await holder.query("rollback");
  expect((await service.api.get(`/webhooks/${id}`)).body).toMatchObject({ id, name: "locked" });
});
