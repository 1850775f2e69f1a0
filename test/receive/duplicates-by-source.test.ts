/**
 * Repeats by source (DESIGN §5, Duplicates): what each preset declares is what happens, in one batch and across
 * replicas; distinct events are never dropped.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CompiledSource } from "../../src/signature/compile.ts";
import type { RepeatPolicy } from "../../src/signature/scheme.ts";
import { canSign, samplePayload, sign } from "../../src/signature/sign.ts";
import { findSource, generateSecretFor, SOURCES } from "../../src/signature/source.ts";
import { secretOf, sourceOf, VECTORS } from "../signature/vectors.ts";
import { send } from "../support/api.ts";
import { startService, type TestService } from "../support/service.ts";
import { type CreatedWebhook, createWebhook, eventsOf, readEvent, receiveUrlAt } from "./senders.ts";

const PUBLIC_URL = "https://hooks.example.com";

let service: TestService;
let replica: TestService;

beforeAll(async () => {
  const env = { PUBLIC_URL };
  service = await startService({ env });
  replica = await startService({ env, replicaOf: service });
});
afterAll(async () => {
  await replica?.stop();
  await service?.stop();
});

function create({ name }: CompiledSource): Promise<CreatedWebhook> {
  const vector = VECTORS.find((candidate) => sourceOf(candidate) === name);
  const known = generateSecretFor(findSource(name)) === undefined && vector;
  return createWebhook(service.api, { source: name, ...(known ? { secret: secretOf(vector) } : {}) });
}

/** What an event says of itself. */
interface Said {
  readonly id?: string;
  readonly type?: string;
  readonly n?: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

/** Signs as the source would, and posts to a replica. The same words make the same bytes. */
async function post(to: TestService, webhook: CreatedWebhook, source: CompiledSource, said: Said): Promise<void> {
  const { id = "id1", type = "kind.done", n = 1, atMs } = said;
  const asked = { type, eventId: id, nowMs: atMs };
  const sample = samplePayload(source, asked);
  const payload = Array.isArray(sample) ? sample : { ...(sample as object), n };
  const target = `/api/v1/webhooks/receive/${webhook.id}`;
  const unsigned = { ...asked, body: Buffer.from(JSON.stringify(payload)), url: PUBLIC_URL + target, target };
  const signed = sign(source, webhook.secret, unsigned);
  const headers = { "content-type": "application/json", ...Object.fromEntries(signed?.headers ?? []) };
  const query = (signed?.target ?? target).slice(target.length);
  const answer = await send(receiveUrlAt(to.url, webhook) + query, signed?.body.toString() ?? "", headers);
  expect([200, 202, 204], JSON.stringify(answer.body)).toContain(answer.status);
}

/** What a second event is: a repeat of the first, a new one, or a new one that is flagged for its id. */
type Outcome = "repeat" | "new" | "flagged";

/** The second event is sent to the other replica. */
async function second(source: CompiledSource, first: Said, then: Said): Promise<Outcome> {
  const webhook = await create(source);
  await post(service, webhook, source, first);
  await post(replica, webhook, source, then);
  const events = await eventsOf(service.api, webhook);
  if (events.length === 1) return "repeat";
  const [latest, earliest] = await Promise.all(events.map(({ id }) => readEvent(service.api, id)));
  expect(earliest?.sourceEventIdReused).toBe(false);
  return latest?.sourceEventIdReused ? "flagged" : "new";
}

interface Expected {
  readonly again: Outcome;
  readonly otherBody: Outcome;
  /** The rest of the event the same, as far as the id does not stand in it. */
  readonly otherId: Outcome;
}

const EXPECTED: Readonly<Record<RepeatPolicy, Expected>> = {
  "signed-id": { again: "repeat", otherBody: "flagged", otherId: "new" },
  "restamped-id": { again: "repeat", otherBody: "repeat", otherId: "new" },
  "unsigned-id": { again: "repeat", otherBody: "flagged", otherId: "repeat" },
  "unsigned-id-and-type": { again: "repeat", otherBody: "flagged", otherId: "repeat" },
  "unsigned-id-and-body": { again: "repeat", otherBody: "flagged", otherId: "new" },
  none: { again: "new", otherBody: "new", otherId: "new" },
};

/** Their signed time tells distinct events of equal bodies apart, or stands in the body: another time, another event. */
const STAMPED = new Set(["zendesk", "sanity", "contentful", "mailgun"]);

const cases = SOURCES.filter(canSign).map((source) => {
  const { id, repeats } = source.schemes.find(({ body }) => body !== "form") ?? source.schemes[0];
  return [source.name, id.length === 0 ? "none" : repeats, source] as const;
});

describe.each(cases)("%s: %s", (name, policy, source) => {
  const { again, otherBody } = EXPECTED[policy];
  // Our test events of Contentful sign every header of theirs, the id too.
  const otherId = name === "contentful" ? "new" : EXPECTED[policy].otherId;

  test(`the same again is ${again}, with another body ${otherBody}, with another id ${otherId}`, async () => {
    const atMs = Date.now();
    expect(await second(source, { atMs }, { atMs })).toBe(again);
    // A batch of one has no place for a number of ours.
    if (!Array.isArray(samplePayload(source, { type: "a", eventId: "b", nowMs: atMs }))) {
      expect(await second(source, { atMs }, { atMs, n: 2 })).toBe(otherBody);
    }
    expect(await second(source, { atMs }, { atMs, id: "id2" })).toBe(otherId);
  });

  test("stamped anew for another try", async () => {
    const atMs = Date.now();
    const outcome = await second(source, { atMs: atMs - 2_000 }, { atMs });
    expect(outcome).toBe(STAMPED.has(name) ? "flagged" : again);
  });

  test("many at once, at both replicas", async () => {
    const webhook = await create(source);
    const said = { atMs: Date.now() };
    await Promise.all(
      Array.from({ length: 12 }, (_, index) => post(index % 2 ? service : replica, webhook, source, said)),
    );
    expect(await eventsOf(service.api, webhook)).toHaveLength(policy === "none" ? 12 : 1);
  });
});

test.each(cases.filter(([, policy]) => policy === "unsigned-id-and-type"))(
  "%s: the same body as an event of another type is another event",
  async (_name, _policy, source) => {
    const atMs = Date.now();
    expect(await second(source, { atMs, type: "kind.done" }, { atMs, type: "other.done", id: "id2" })).toBe("new");
  },
);
