/** The model's operations on the real service: what may be asked, how it is asked, and what is seen afterwards. */
import { randomBytes } from "node:crypto";
import * as fc from "fast-check";
import { expect } from "vitest";
import { type CreatedWebhook, receiveUrlAt, standardHeaders } from "../receive/senders.ts";
import { type Answer, send } from "../support/api.ts";
import type { Destination } from "../support/destination.ts";
import { eventually } from "../support/eventually.ts";
import type { ManualClock } from "../support/manual-clock.ts";
import type { TestService } from "../support/service.ts";
import { explain, narrow, type Operation, type Outcome, type Seen, type State } from "./webhook-model.ts";

const BODIES = ['{"type":"order.paid"}', '{"type":"order.sent"}'] as const;
const WRONG_SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const GRACE_MS = 60_000;
/** Longer than a grace, shorter than the tolerance of timestamps. */
const CLOCK_MS = 100_000;
/** Longer than the longest wait of the schedule. */
const QUEUE_MS = 4 * 3_600_000;

/** One webhook of one run, on two replicas. */
export interface Real {
  readonly replicas: readonly [TestService, TestService];
  readonly clock: ManualClock;
  readonly destinations: readonly [Destination, Destination];
  readonly webhook: CreatedWebhook;
  /** In the order in which they were issued. */
  readonly secrets: string[];
  readonly replayed: Set<string>;
  up: boolean;
}

/** What the run knows: every state that explains what has happened so far. */
export interface Model {
  states: readonly State[];
}

/** An operation before it is known what it is about: numbers choose among what there is. */
type Wish = Readonly<{ replica: 0 | 1 }> &
  (
    | Readonly<{ kind: "receive"; secret: "current" | "previous" | "wrong"; message: number; body: 0 | 1 }>
    | Readonly<{ kind: "rotate"; graceMs: number }>
    | Readonly<{ kind: "status"; status: State["status"] }>
    | Readonly<{ kind: "url"; url: 0 | 1 | null }>
    | Readonly<{ kind: "delete" }>
    | Readonly<{ kind: "clock" }>
    | Readonly<{ kind: "queue" }>
    | Readonly<{ kind: "retry" | "replay"; which: number }>
    | Readonly<{ kind: "destination"; up: boolean }>
  );

const replica = fc.constantFrom<0 | 1>(0, 1);
const wish = <Kind extends Wish["kind"]>(kind: Kind, fields: object = {}) =>
  fc.record({ kind: fc.constant(kind), replica, ...fields }) as unknown as fc.Arbitrary<Wish>;

const wishes: fc.Arbitrary<Wish> = fc.oneof(
  {
    weight: 8,
    arbitrary: wish("receive", {
      secret: fc.constantFrom("current", "current", "current", "previous", "wrong"),
      message: fc.nat({ max: 2 }),
      body: fc.constantFrom(0, 1),
    }),
  },
  { weight: 2, arbitrary: wish("rotate", { graceMs: fc.constantFrom(0, GRACE_MS) }) },
  { weight: 4, arbitrary: wish("status", { status: fc.constantFrom("active", "active", "paused", "disabled") }) },
  { weight: 3, arbitrary: wish("url", { url: fc.constantFrom(0, 1, null) }) },
  { weight: 3, arbitrary: wish("retry", { which: fc.nat({ max: 5 }) }) },
  { weight: 2, arbitrary: wish("replay", { which: fc.nat({ max: 5 }) }) },
  { weight: 2, arbitrary: wish("destination", { up: fc.boolean() }) },
  { weight: 2, arbitrary: wish("queue") },
  { weight: 1, arbitrary: wish("clock") },
  { weight: 1, arbitrary: wish("delete") },
);

/** Steps of one run: one operation, or two or three at the same time. */
export const steps = fc.commands<Model, Real, false>(
  [
    wishes.map((one) => new Step([one])),
    fc.array(wishes, { minLength: 2, maxLength: 3 }).map((race) => new Step(race)),
  ],
  { maxCommands: 12 },
);

export class Step implements fc.AsyncCommand<Model, Real, false> {
  readonly #wishes: readonly Wish[];

  constructor(race: readonly Wish[]) {
    this.#wishes = race;
  }

  check = () => true;

  async run(model: Model, real: Real): Promise<void> {
    const race = this.#wishes.flatMap((one) => {
      const operation = concrete(one, model.states[0], real);
      return operation ? [{ wish: one, operation }] : [];
    });
    const done = await Promise.all(
      race.map(async ({ wish: one, operation }) => {
        real.clock.advance(1);
        return { operation, outcome: await perform(operation, one.replica, real) };
      }),
    );
    await rest(real);
    const seen = await look(real);
    const explained = explain(model.states, done);
    const states = explained.flatMap((state) => narrow(state, seen) ?? []);
    const account = { done, seen: [...seen], explained: explained.map(show) };
    expect(states.length, `no order explains ${JSON.stringify(account, null, 1)}`).toBeGreaterThan(0);
    model.states = [...new Map(states.map((state) => [JSON.stringify(show(state)), state])).values()];
    for (const { outcome } of done) if (outcome.secret) real.secrets.push(outcome.secret);
  }

  toString(): string {
    return this.#wishes.map(({ kind, ...fields }) => `${kind}(${Object.values(fields).join(", ")})`).join(" ‖ ");
  }
}

const show = (state: State) => ({
  ...state,
  events: [...state.events],
  reused: [...state.reused],
  deliveries: [...state.deliveries],
});

/** What is asked; undefined where there is nothing to ask it of. */
function concrete(wished: Wish, state: State | undefined, real: Real): Operation | undefined {
  switch (wished.kind) {
    case "receive": {
      const secret = { current: real.secrets.at(-1), previous: real.secrets.at(-2), wrong: WRONG_SECRET }[
        wished.secret
      ];
      const [messageId, body] = [`msg_${wished.message}`, BODIES[wished.body]];
      return { kind: "receive", secret: secret ?? WRONG_SECRET, messageId, body };
    }
    case "url":
      return { kind: "url", url: wished.url === null ? null : real.destinations[wished.url].url };
    case "clock":
      return { kind: "clock", ms: CLOCK_MS };
    case "retry":
    case "replay": {
      const known = [...(wished.kind === "retry" ? (state?.deliveries.keys() ?? []) : (state?.events.values() ?? []))];
      const id = known[wished.which % known.length];
      if (id === undefined) return undefined;
      return wished.kind === "retry" ? { kind: "retry", delivery: id } : { kind: "replay", event: id };
    }
    default:
      return wished;
  }
}

async function perform(operation: Operation, at: 0 | 1, real: Real): Promise<Outcome> {
  const service = real.replicas[at];
  const path = `/webhooks/${real.webhook.id}`;
  switch (operation.kind) {
    case "receive": {
      const { secret, messageId, body } = operation;
      const headers = standardHeaders(secret, body, messageId, Math.floor(real.clock.now() / 1_000));
      return pick(await send(receiveUrlAt(service.url, real.webhook), body, headers));
    }
    case "rotate":
      return pick(await service.api.post(`${path}/rotate`, { gracePeriodSeconds: operation.graceMs / 1_000 }));
    case "status":
      return pick(await service.api.patch(path, { status: operation.status }));
    case "url":
      return pick(await service.api.patch(path, { url: operation.url }));
    case "delete":
      return pick(await service.api.delete(path));
    case "retry":
      return pick(await service.api.post(`/webhooks/deliveries/${await deliveryId(operation.delivery, real)}/retry`));
    case "replay": {
      const outcome = pick(await service.api.post(`/webhooks/events/${operation.event}/replay`));
      for (const id of outcome.deliveryIds ?? []) real.replayed.add(id);
      return outcome;
    }
    case "clock":
      real.clock.advance(operation.ms);
      return { status: 200 };
    case "queue":
      await service.advanceQueue(QUEUE_MS);
      return { status: 200 };
    case "destination":
      real.up = operation.up;
      return { status: 200 };
  }
}

/** What of an answer the model judges. */
function pick({ status, body }: Answer): Outcome {
  const { eventId, duplicate, secret, deliveries } = body ?? {};
  return {
    status,
    ...(eventId === undefined ? {} : { eventId, duplicate }),
    ...(secret === undefined ? {} : { secret }),
    ...(deliveries === undefined ? {} : { deliveryIds: deliveries.map(({ id }: { id: string }) => id) }),
  };
}

/** The delivery's own id; the model names the first one of an event by the event. */
async function deliveryId(id: string, { replicas, replayed }: Real): Promise<string> {
  if (replayed.has(id)) return id;
  const { rows } = await replicas[0].pool.query<{ id: string }>("select id from deliveries where event_id = $1", [id]);
  return rows.find((row) => !replayed.has(row.id))?.id ?? id;
}

/** Waits until nothing moves: what is owed is held, or waits for a time to come. */
async function rest({ replicas, webhook }: Real): Promise<void> {
  await eventually("nothing moves", async () => {
    const { rows } = await replicas[0].pool.query<{ moving: boolean }>(
      `select exists (select 1 from releases where webhook_id = $1) or exists (select 1 from delivery_queue
         where webhook_id = $1 and not held and (lease_token is not null or due_at <= now())) as moving`,
      [webhook.id],
    );
    return rows[0]?.moving === false;
  });
}

/** Every delivery that the API lists, by the model's ids; none of a webhook that is gone. */
async function look({ replicas, webhook, replayed }: Real): Promise<Map<string, Seen>> {
  const { status, body } = await replicas[1].api.get(`/webhooks/${webhook.id}/deliveries?limit=100`);
  if (status === 404) return new Map();
  expect(status, JSON.stringify(body)).toBe(200);
  const items: { id: string; eventId: string; status: string; attemptCount: number; url: string }[] = body.items;
  return new Map(
    items.map((item) => {
      const { status: shown, attemptCount: attempts, url } = item;
      return [replayed.has(item.id) ? item.id : item.eventId, { status: shown, attempts, url }];
    }),
  );
}
