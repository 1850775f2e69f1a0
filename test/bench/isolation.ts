/**
 * What a destination that accepts and never answers costs the others: how long events are on their way to a healthy
 * one, alone, beside as many to another healthy one, beside as many to one that hangs, and beside a backlog of another
 * organization for ten thousand that hang; and the service's memory meanwhile.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { createSecretBox } from "../../src/security/secret-box.ts";
import { openMasterKey } from "../../src/store/local-secrets.ts";
import { Arrivals } from "./arrivals.ts";
import { Gateway, makeDirectory, removeDirectory, SECRET, type Webhook } from "./gateway.ts";
import { percentile, type Sample } from "./load.ts";
import { loadAtRate } from "./load-receive.ts";
import { type Cell, report } from "./report.ts";
import { EVENT_BYTES } from "./scene.ts";
import { ServerProcess } from "./server-process.ts";
import { reportTargets } from "./targets.ts";

const PLAIN = `${import.meta.dirname}/plain-server.ts`;
/** Events a second to the healthy destination, and as many to the other half. */
const RATE = 300;
const WARM_MS = 3_000;
const MEASURE_MS = 8_000;
const CROWD = 10_000;
const CROWD_EVENTS = 3;

export async function isolationBench(): Promise<void> {
  const directory = await makeDirectory();
  const arrivals = await Arrivals.start();
  const healthy = await ServerProcess.start(PLAIN, { kind: "destination" }, { pin: false });
  const hanging = await ServerProcess.start(PLAIN, { kind: "silent" }, { pin: false });
  const gateway = await Gateway.start(directory);
  try {
    const urlOf = (port: number) => `http://127.0.0.1:${port}/hook`;
    const timed = await gateway.createWebhook(urlOf(arrivals.port));
    const other = await gateway.createWebhook(urlOf(healthy.port));
    const stuck = await gateway.createWebhook(urlOf(hanging.port));
    const measure = async (beside: Webhook | undefined, durationMs: number) => {
      const load = { rate: RATE, secret: SECRET, bytes: EVENT_BYTES, durationMs, port: gateway.port };
      const others = beside && loadAtRate({ ...load, path: beside.path });
      const sample = await arrivals.timed({ ...load, path: timed.path });
      await others;
      return { sample, mib: await gateway.memoryMiB() };
    };
    await measure(other, WARM_MS);
    await gateway.settled();
    const alone = await measure(undefined, MEASURE_MS);
    const beside = await measure(other, MEASURE_MS);
    await measure(stuck, WARM_MS);
    const half = await measure(stuck, MEASURE_MS);
    await crowd(gateway, urlOf(hanging.port));
    await measure(undefined, WARM_MS);
    const crowded = await measure(undefined, MEASURE_MS);
    tell({ alone, beside, half, crowded });
  } finally {
    await gateway.stop();
    arrivals.close();
    await Promise.all([healthy.stop(), hanging.stop()]);
    await removeDirectory(directory);
  }
}

interface Measured {
  readonly sample: Sample;
  readonly mib: number;
}

function tell(all: Readonly<Record<"alone" | "beside" | "half" | "crowded", Measured>>): void {
  const row = (name: string, { sample, mib }: Measured): Cell[] => [
    name,
    ...[0.5, 0.99, 1].map((share) => percentile(sample, share)),
    mib,
  ];
  report(
    `Events on their way to a healthy destination, ${RATE} a second, ms`,
    ["", "p50", "p99", "max", "memory, MiB"],
    [
      row("alone", all.alone),
      row("beside as many to another healthy one", all.beside),
      row("beside as many to one that hangs", all.half),
      row(`beside ${CROWD.toLocaleString("en")} that hang, of another organization`, all.crowded),
    ],
  );
  const p99 = ({ sample }: Measured) => percentile(sample, 0.99);
  reportTargets([
    ["p99 beside one that hangs, of that beside a healthy one", p99(all.half) / p99(all.beside), "≤", 1.2],
    ["p99 beside ten thousand that hang, of that alone", p99(all.crowded) / p99(all.alone), "≤", 1.2],
    ["memory beside one that hangs, of that beside a healthy one", all.half.mib / all.beside.mib, "≤", 1.2],
    ["memory beside ten thousand, of that before", all.crowded.mib / all.half.mib, "≤", 1.2],
  ]);
}

/** Another organization, its destinations, and what it owes them. */
async function crowd(gateway: Gateway, url: string): Promise<void> {
  const box = createSecretBox({ master: await openMasterKey(gateway.directory), old: [] });
  const [organizationId, ids] = [randomUUID(), Array.from({ length: CROWD }, () => randomUUID())];
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  const sealed = ids.map((webhookId) => box.seal(secret, { organizationId, webhookId, purpose: "forward" }));
  await gateway.withClient(async (client) => {
    await client.query("insert into organizations (id, name) values ($1, 'crowd')", [organizationId]);
    await client.query(
      `insert into webhooks (id, organization_id, name, url, source, events, status, created_at, updated_at)
       select id, $1, 'w', $2, 'custom', '{}', 'active', now(), now() from unnest($3::uuid[]) id`,
      [organizationId, url, ids],
    );
    await client.query(
      "insert into webhook_counters (webhook_id, organization_id) select id, $1 from unnest($2::uuid[]) id",
      [organizationId, ids],
    );
    await client.query(
      `insert into webhook_secrets (id, organization_id, webhook_id, purpose, sealed, hash, created_at)
       select gen_random_uuid(), $1, s.id, 'forward', s.sealed, $4, now() from unnest($2::uuid[], $3::bytea[]) s (id, sealed)`,
      [organizationId, ids, sealed, box.hash(secret)],
    );
    await client.query(
      `with event as (
         insert into events (id, organization_id, webhook_id, type, source_event_id_reused, status, verified, scheme,
           synthetic, size, received_at, headers, body)
         select gen_random_uuid(), $1, id, 't', false, 'received', true, 'hub-signature-256', false, 2, now(), '[]', '{}'
         from unnest($3::uuid[]) id returning id, webhook_id
       ), owed as (
         insert into deliveries (id, organization_id, webhook_id, destination_id, event_id, url, status, created_at, updated_at)
         select gen_random_uuid(), $1, webhook_id, webhook_id, id, $2, 'pending', now(), now()
         from event, generate_series(1, ${CROWD_EVENTS}) returning *)
       insert into delivery_queue (delivery_id, organization_id, webhook_id, destination_id, event_id, due_at)
       select id, organization_id, webhook_id, destination_id, event_id, now() from owed`,
      [organizationId, url, ids],
    );
  });
}
