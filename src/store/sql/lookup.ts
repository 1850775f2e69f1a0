/** Reads of the receive and delivery paths: webhooks with their sealed secrets, and events by id. */
import type { Pool } from "pg";
import type { SealedPurpose } from "../../security/secret-box.ts";
import type { HeaderList } from "../entities/event.ts";
import type { WebhookStatus } from "../entities/webhook.ts";

export interface SealedSecret {
  readonly purpose: SealedPurpose;
  readonly sealed: Buffer;
  readonly hash: Buffer;
  /** End of its grace; null while it is in force. */
  readonly expiresAtMs: number | null;
}

/** A webhook as receiving and delivering need it. Secrets stand newest first. */
export interface WebhookRecord {
  readonly id: string;
  readonly organizationId: string;
  readonly name: string;
  readonly source: string;
  /** In the API's JSON form; null: as the source's preset says. */
  readonly verification: object | null;
  /** In the API's JSON form; null: as the server's settings say. */
  readonly delivery: object | null;
  readonly status: WebhookStatus;
  readonly events: readonly string[];
  readonly url: string | null;
  readonly forwardingStopped: boolean;
  readonly version: string;
  readonly secrets: readonly SealedSecret[];
  /** Whether a secret that the provider sends would be taken. */
  readonly capturing: boolean;
}

const WEBHOOKS = `
select w.id, w.organization_id, w.name, w.source, w.verification, w.delivery, w.status, w.events, w.url,
  w.forwarding_stopped_at is not null as stopped, w.version::text as version,
  (select coalesce(json_agg(json_build_object('purpose', s.purpose, 'sealed', encode(s.sealed, 'base64'),
      'hash', encode(s.hash, 'base64'), 'expires', extract(epoch from s.expires_at) * 1000)
      order by s.created_at desc, s.id desc), '[]')
    from webhook_secrets s where s.webhook_id = w.id) as secrets,
  exists (select from secret_captures c where c.webhook_id = w.id and c.sealed is null and c.expires_at > now())
    as capturing
from webhooks w where w.id = any ($1::uuid[])`;

interface WebhookRow {
  id: string;
  organization_id: string;
  name: string;
  source: string;
  verification: object | null;
  delivery: object | null;
  status: WebhookStatus;
  events: string[];
  url: string | null;
  stopped: boolean;
  version: string;
  secrets: { purpose: SealedPurpose; sealed: string; hash: string; expires: number | null }[];
  capturing: boolean;
}

/** The webhooks that exist, by id. Tenant-free: callers are the receive path and the delivery worker. */
export async function findWebhooks(pool: Pool, ids: readonly string[]): Promise<Map<string, WebhookRecord>> {
  const { rows } = await pool.query<WebhookRow>({ name: "find-webhooks", text: WEBHOOKS, values: [ids] });
  return new Map(rows.map((row) => [row.id, toRecord(row)]));
}

function toRecord(row: WebhookRow): WebhookRecord {
  return {
    id: row.id,
    organizationId: row.organization_id,
    name: row.name,
    source: row.source,
    verification: row.verification,
    delivery: row.delivery,
    status: row.status,
    events: row.events,
    url: row.url,
    forwardingStopped: row.stopped,
    version: row.version,
    secrets: row.secrets.map((secret) => ({
      purpose: secret.purpose,
      sealed: Buffer.from(secret.sealed, "base64"),
      hash: Buffer.from(secret.hash, "base64"),
      expiresAtMs: secret.expires,
    })),
    capturing: row.capturing,
  };
}

/** An event as a delivery sends it. */
export interface EventContent {
  readonly id: string;
  readonly type: string | null;
  readonly verified: boolean;
  readonly headers: HeaderList;
  readonly body: Buffer;
}

const CONTENTS = `
select e.id, e.type, e.verified, e.size, case when e.size <= $3 then e.headers end as headers,
  case when e.size <= $3 then e.body end as body
from unnest($1::uuid[], $2::uuid[]) k (organization_id, id)
join events e on e.organization_id = k.organization_id and e.id = k.id`;

/** An event that deliveries are to be made of: its size, and its content if that is small. */
export interface FoundEvent {
  readonly size: number;
  readonly content: EventContent | undefined;
}

/** Several events by id; bodies of up to `bytesMax` come along. Those that are gone are left out. */
export async function findEventContents(
  pool: Pool,
  events: readonly { readonly organizationId: string; readonly eventId: string }[],
  bytesMax: number,
): Promise<Map<string, FoundEvent>> {
  const { rows } = await pool.query<EventContent & { size: number }>({
    name: "find-event-contents",
    text: CONTENTS,
    values: [events.map(({ organizationId }) => organizationId), events.map(({ eventId }) => eventId), bytesMax],
  });
  return new Map(
    rows.map(({ size, ...content }) => [content.id, { size, content: size <= bytesMax ? content : undefined }]),
  );
}

/** One event's content, or undefined if it is gone. */
export async function findEventContent(
  pool: Pool,
  organizationId: string,
  id: string,
): Promise<EventContent | undefined> {
  const { rows } = await pool.query<EventContent>({
    name: "find-event-content",
    text: "select id, type, verified, headers, body from events where id = $1 and organization_id = $2",
    values: [id, organizationId],
  });
  return rows[0];
}
