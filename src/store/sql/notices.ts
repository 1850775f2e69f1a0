/**
 * Notices: what the `system` webhooks of an organization are to be told. One is written by the statement, or in the
 * transaction, that makes the change it tells of, so that neither is without the other; `core/notice-teller.ts` makes
 * events of it. None is written where nobody would be told, nor about a `system` webhook.
 */
import type { ClientBase } from "pg";

export type NoticeType =
  | "delivery.exhausted"
  | "forwarding.stopped"
  | "forwarding.resumed"
  | "circuit.opened"
  | "circuit.closed"
  | "bulk_job.finished";

/** What has happened, to a webhook or (null) to the organization; `data` is JSON that people may see. */
export interface NewNotice {
  readonly organizationId: string;
  readonly webhookId: string | null;
  readonly type: NoticeType;
  readonly data: object;
}

const listens = (organizationId: string) => `exists (select from webhooks s
  where s.organization_id = ${organizationId} and s.source = 'system' and s.status <> 'disabled')`;
// A scalar, so that no plan looks at more webhooks than those in question.
const concerns = (webhookId: string) => `(select w.source <> 'system' and ${listens("w.organization_id")}
  from webhooks w where w.id = ${webhookId})`;

/** The body of a CTE: notices of the `rows` of a select, with organization_id, webhook_id and data. */
export const noticesOf = (type: NoticeType, rows: string): string => `
  insert into notices (id, organization_id, webhook_id, type, data)
  select gen_random_uuid(), r.organization_id, r.webhook_id, '${type}', r.data
  from (${rows}) r where ${concerns("r.webhook_id")}`;

/** One notice; its placeholders stand for organization, webhook, type and data. */
const raise = ([organizationId, webhookId, type, data]: readonly string[]): string => `
  insert into notices (id, organization_id, webhook_id, type, data)
  select gen_random_uuid(), n.* from (select ${organizationId}::uuid as organization_id, ${webhookId}::uuid as webhook_id,
    ${type}::text as type, ${data}::jsonb as data) n
  where case when n.webhook_id is null then ${listens("n.organization_id")} else ${concerns("n.webhook_id")} end`;

const valuesOf = ({ organizationId, webhookId, type, data }: NewNotice) => [
  organizationId,
  webhookId,
  type,
  JSON.stringify(data),
];

const RAISE = raise(["$1", "$2", "$3", "$4"]);

/** Writes a notice in the transaction that makes the change. */
export async function raiseNotice(client: ClientBase, notice: NewNotice): Promise<void> {
  await client.query({ name: "raise-notice", text: RAISE, values: valuesOf(notice) });
}

/** The same for a caller of the ORM. */
export const noticeStatement = (notice: NewNotice): [sql: string, values: (string | null)[]] => [
  raise(["?", "?", "?", "?"]),
  valuesOf(notice),
];

/** A notice as it waits to be told. */
export interface Notice {
  readonly id: string;
  readonly webhookId: string | null;
  readonly type: NoticeType;
  readonly data: Readonly<Record<string, unknown>>;
  readonly raisedAt: Date;
}

/** What was told of one webhook in one way in the minute that ends at `until`, and how much more there was. */
export interface Flood {
  readonly webhookId: string;
  readonly type: NoticeType;
  readonly until: Date;
  readonly told: number;
  readonly further: number;
  /** When the first and the last of those beyond was raised. */
  readonly furtherSince: Date | null;
  readonly furtherUntil: Date | null;
}

/** The next organization, by id, that has something to be told. */
export async function nextToTell(client: ClientBase, after: string): Promise<string | undefined> {
  const { rows } = await client.query<{ id: string }>(
    `select organization_id as id from (
       (select organization_id from notices where organization_id > $1 order by organization_id limit 1)
       union all
       (select organization_id from notice_floods where organization_id > $1 and until <= now()
        order by organization_id limit 1)) n
     order by organization_id limit 1`,
    [after],
  );
  return rows[0]?.id;
}

/** What one organization is to be told, and whom. */
export interface Untold {
  readonly now: Date;
  /** The oldest; taken from the store with this transaction. */
  readonly notices: readonly Notice[];
  readonly floods: readonly Flood[];
  /** Ids of the webhooks that are told. */
  readonly listeners: readonly string[];
}

/** Takes up to `rows` notices; undefined if another replica is at work for this organization. */
export async function takeNotices(
  client: ClientBase,
  organizationId: string,
  rows: number,
): Promise<Untold | undefined> {
  const { rows: locked } = await client.query<{ now: Date }>(
    "select now() from organizations where id = $1 for no key update skip locked",
    [organizationId],
  );
  const [held] = locked;
  if (!held) return undefined;
  const { rows: notices } = await client.query<Notice>(
    `delete from notices where id = any (array(
       select id from notices where organization_id = $1 order by raised_at, id limit $2))
     returning id, webhook_id as "webhookId", type, data, raised_at as "raisedAt"`,
    [organizationId, rows],
  );
  notices.sort((one, other) => one.raisedAt.getTime() - other.raisedAt.getTime() || (one.id < other.id ? -1 : 1));
  const { rows: floods } = await client.query<Flood>(
    `select webhook_id as "webhookId", type, until, told, further::float8 as further,
       further_since as "furtherSince", further_until as "furtherUntil"
     from notice_floods where organization_id = $1 order by webhook_id, type`,
    [organizationId],
  );
  const { rows: listeners } = await client.query<{ id: string }>(
    "select id from webhooks where organization_id = $1 and source = 'system' and status <> 'disabled' order by id",
    [organizationId],
  );
  return { now: held.now, notices, floods, listeners: listeners.map(({ id }) => id) };
}

/** Puts these in place of the organization's. */
export async function keepFloods(client: ClientBase, organizationId: string, floods: readonly Flood[]): Promise<void> {
  await client.query("delete from notice_floods where organization_id = $1", [organizationId]);
  if (floods.length === 0) return;
  await client.query(
    `insert into notice_floods (organization_id, webhook_id, type, until, told, further, further_since, further_until)
     select $1, "webhookId", type, until, told, further, "furtherSince", "furtherUntil"
     from json_to_recordset($2::json) as f ("webhookId" uuid, type text, until timestamptz, told int, further bigint,
       "furtherSince" timestamptz, "furtherUntil" timestamptz)`,
    [organizationId, JSON.stringify(floods)],
  );
}

/** What is told of a delivery besides its end. */
export interface ToldDelivery {
  readonly eventId: string;
  readonly eventType: string | null;
  readonly url: string;
}

/** The names of webhooks, and the deliveries, that notices are about. Those that are gone are left out. */
export async function findToldOf(
  client: ClientBase,
  webhookIds: readonly string[],
  deliveryIds: readonly string[],
): Promise<{ names: ReadonlyMap<string, string>; deliveries: ReadonlyMap<string, ToldDelivery> }> {
  const { rows: webhooks } = await client.query<{ id: string; name: string }>(
    "select id, name from webhooks where id = any ($1::uuid[])",
    [webhookIds],
  );
  const { rows: deliveries } = await client.query<ToldDelivery & { id: string }>(
    `select id, event_id as "eventId", event_type as "eventType", url from deliveries where id = any ($1::uuid[])`,
    [deliveryIds],
  );
  return {
    names: new Map(webhooks.map(({ id, name }) => [id, name])),
    deliveries: new Map(deliveries.map(({ id, ...rest }) => [id, rest])),
  };
}
