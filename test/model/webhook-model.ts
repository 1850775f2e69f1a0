/**
 * What a webhook is, in the fewest words: a pure model that says which answers an operation may get, and what is owed
 * and delivered afterwards.
 *
 * A state says exactly what the webhook is, and of each delivery what it may be: an attempt may come before or after the
 * next operation of a race. What is then observed narrows it.
 */

/** One delivery. Every field that decides what may become of it, and nothing else. */
export interface DeliveryState {
  readonly status: "owed" | "succeeded" | "failed" | "canceled";
  readonly attempts: number;
  /** Attempts that the schedule has made. */
  readonly step: number;
  /** Owed: whether its time has come. */
  readonly due: boolean;
  /** The next attempt was asked for by hand; what the schedule then goes on with. */
  readonly manual: "no" | "then nothing" | "then later" | "then at once";
  /** Where the last attempt went. */
  readonly sentTo: string | null;
}

export interface Secret {
  readonly text: string;
  /** End of its grace, in milliseconds of the model's clock; null while it is in force. */
  readonly endsAtMs: number | null;
}

export interface State {
  readonly exists: boolean;
  readonly status: "active" | "paused" | "disabled";
  readonly url: string | null;
  readonly secrets: readonly Secret[];
  readonly nowMs: number;
  /** Whether destinations take what comes. */
  readonly up: boolean;
  /** Events by message id and body, and those whose message id came with another body before. */
  readonly events: ReadonlyMap<string, string>;
  readonly reused: ReadonlySet<string>;
  /** By delivery id, or by event id for the first one of an event, whose id is not told. */
  readonly deliveries: ReadonlyMap<string, readonly DeliveryState[]>;
}

export type Operation =
  | { readonly kind: "receive"; readonly secret: string; readonly messageId: string; readonly body: string }
  | { readonly kind: "rotate"; readonly graceMs: number }
  | { readonly kind: "status"; readonly status: State["status"] }
  | { readonly kind: "url"; readonly url: string | null }
  | { readonly kind: "delete" }
  | { readonly kind: "retry"; readonly delivery: string }
  | { readonly kind: "replay"; readonly event: string }
  | { readonly kind: "clock"; readonly ms: number }
  | { readonly kind: "queue" }
  | { readonly kind: "destination"; readonly up: boolean };

/** What an operation came to: the status, and what the answer named. */
export interface Outcome {
  readonly status: number;
  readonly eventId?: string;
  readonly duplicate?: boolean;
  readonly secret?: string;
  readonly deliveryIds?: readonly string[];
}

/** Attempts that the schedule makes before a delivery has failed. */
export const SCHEDULED_ATTEMPTS = 3;

const NEW: DeliveryState = { status: "owed", attempts: 0, step: 0, due: true, manual: "no", sentTo: null };

export const isFlowing = (state: State): boolean => state.exists && state.status === "active" && state.url !== null;

/** The state after the operation, if it may have that outcome; undefined if it may not. `raced`: others went on meanwhile. */
export function apply(state: State, operation: Operation, outcome: Outcome, raced: boolean): State | undefined {
  const { status } = outcome;
  switch (operation.kind) {
    case "clock":
      return { ...state, nowMs: state.nowMs + operation.ms };
    case "destination":
      return { ...state, up: operation.up };
    case "queue":
      return withDeliveries(state, (one) => [one.status === "owed" ? { ...one, due: true } : one]);
    default:
      if (!state.exists) return status === 404 ? state : undefined;
  }
  switch (operation.kind) {
    case "receive":
      return receive(state, operation, outcome, raced);
    case "retry":
      return retry(state, operation.delivery, status, raced);
    case "replay":
      return status === 200 ? replay(state, outcome.deliveryIds ?? []) : undefined;
    case "rotate":
      return status === 200 ? rotate(state, operation.graceMs, outcome.secret ?? "") : undefined;
    case "delete":
      return status === 200 ? { ...state, exists: false, deliveries: new Map() } : undefined;
    case "status":
      return status === 200 ? { ...state, status: operation.status } : undefined;
    case "url":
      return status === 200 ? changeUrl(state, operation.url, raced) : undefined;
  }
}

function receive(
  state: State,
  { secret, messageId, body }: Extract<Operation, { kind: "receive" }>,
  { status, eventId = "", duplicate }: Outcome,
  raced: boolean,
): State | undefined {
  // Changed again and again while it was judged: told to come again.
  if (status === 503) return raced ? state : undefined;
  if (state.status === "disabled") return status === 403 ? state : undefined;
  const known = state.secrets.some(({ text, endsAtMs }) => text === secret && (endsAtMs ?? Infinity) > state.nowMs);
  if (!known || status !== 200) return !known && status === 401 ? state : undefined;
  const first = state.events.get(`${messageId} ${body}`);
  if (first !== undefined) return duplicate === true && eventId === first ? state : undefined;
  if (duplicate !== false || [...state.events.values()].includes(eventId)) return undefined;
  const isReused = [...state.events.keys()].some((key) => key.startsWith(`${messageId} `));
  return {
    ...state,
    events: new Map([...state.events, [`${messageId} ${body}`, eventId]]),
    reused: isReused ? new Set([...state.reused, eventId]) : state.reused,
    deliveries: state.url === null ? state.deliveries : new Map([...state.deliveries, [eventId, [NEW]]]),
  };
}

function rotate(state: State, graceMs: number, secret: string): State {
  const older = graceMs === 0 ? [] : state.secrets.filter(({ endsAtMs }) => (endsAtMs ?? Infinity) > state.nowMs);
  const graced = older.map((one) => ({ ...one, endsAtMs: one.endsAtMs ?? state.nowMs + graceMs }));
  return { ...state, secrets: [...graced, { text: secret, endsAtMs: null }] };
}

/** Without a url nothing is owed; an attempt under way ends on its own, and may come back as one that waits. */
function changeUrl(state: State, url: string | null, raced: boolean): State {
  const changed = { ...state, url };
  if (url !== null || state.url === null) return changed;
  return withDeliveries(changed, (one) => {
    if (one.status !== "owed") return [one];
    const underWay = raced && one.due && isFlowing(state) ? [attempt(one, state)] : [];
    return [{ ...one, status: "canceled", due: false, manual: "no" }, ...underWay];
  });
}

function replay(state: State, deliveryIds: readonly string[]): State | undefined {
  if (deliveryIds.length !== (state.url === null ? 0 : 1)) return undefined;
  const added = deliveryIds.map((id): [string, DeliveryState[]] => [id, [NEW]]);
  return { ...state, deliveries: new Map([...state.deliveries, ...added]) };
}

function retry(state: State, id: string, status: number, raced: boolean): State | undefined {
  const possible = state.deliveries.get(id);
  if (!possible) return undefined;
  if (!isFlowing(state)) return status === 409 ? state : undefined;
  // An attempt that a racing operation brought about may be under way.
  if (status === 409) return raced ? state : undefined;
  if (status !== 200) return undefined;
  const deliveries = new Map(state.deliveries);
  deliveries.set(id, possible.map(asked));
  return { ...state, deliveries };
}

function asked(one: DeliveryState): DeliveryState {
  if (one.status !== "owed") return { ...one, status: "owed", due: true, step: one.attempts, manual: "then nothing" };
  if (one.manual !== "no") return { ...one, due: true };
  return { ...one, due: true, manual: one.due ? "then at once" : "then later" };
}

/** What an attempt makes of a delivery that is due. */
function attempt(one: DeliveryState, { up, url }: State): DeliveryState {
  const attempts = one.attempts + 1;
  const step = one.step + (one.manual === "no" ? 1 : 0);
  const next = { attempts, step, manual: "no", sentTo: url } as const;
  if (up) return { ...next, status: "succeeded", due: false };
  const isSpent = one.manual === "then nothing" || (one.manual === "no" && step >= SCHEDULED_ATTEMPTS);
  if (isSpent) return { ...next, status: "failed", due: false };
  return { ...next, status: "owed", due: one.manual === "then at once" };
}

/** Deliveries that are due may be attempted any number of times before the next operation. */
export function meanwhile(state: State): State {
  if (!isFlowing(state)) return state;
  return withDeliveries(state, (one) => attemptsOf(one, state));
}

/** When nothing moves any more, all that is due has been attempted, or canceled where there is no url. */
export function atRest(state: State): State {
  if (state.url === null) {
    return withDeliveries(state, (one) =>
      one.status === "owed" && one.due ? [{ ...one, status: "canceled", due: false, manual: "no" }] : [one],
    );
  }
  if (!isFlowing(state)) return state;
  return withDeliveries(state, (one) => attemptsOf(one, state).slice(-1));
}

/** The delivery as it is, and after each attempt that it is due for. */
function attemptsOf(one: DeliveryState, state: State): DeliveryState[] {
  const chain = [one];
  for (let last = one; last.status === "owed" && last.due; chain.push(last)) last = attempt(last, state);
  return chain;
}

function withDeliveries(state: State, become: (one: DeliveryState) => readonly DeliveryState[]): State {
  const deliveries = [...state.deliveries].map(([id, possible]): [string, DeliveryState[]] => {
    const next = new Map(possible.flatMap(become).map((one) => [JSON.stringify(one), one]));
    return [id, [...next.values()]];
  });
  return { ...state, deliveries: new Map(deliveries) };
}

/** A delivery as the API shows it. */
export interface Seen {
  readonly status: string;
  readonly attempts: number;
  readonly url: string;
}

/** What of the state agrees with the deliveries that are seen, by the model's ids; undefined if nothing does. */
export function narrow(state: State, seen: ReadonlyMap<string, Seen>): State | undefined {
  if (seen.size !== state.deliveries.size) return undefined;
  const deliveries = new Map<string, readonly DeliveryState[]>();
  for (const [id, possible] of state.deliveries) {
    const one = seen.get(id);
    const left = possible.filter((delivery) => one !== undefined && isSeenAs(delivery, one, isFlowing(state)));
    if (left.length === 0) return undefined;
    deliveries.set(id, left);
  }
  return { ...state, deliveries };
}

/** One that waits for its time may show that it is held, or not before its time. */
function isSeenAs(delivery: DeliveryState, { status, attempts, url }: Seen, flowing: boolean): boolean {
  if (delivery.attempts !== attempts) return false;
  if (delivery.status === "canceled") return status === "canceled";
  if (delivery.status !== "owed") return delivery.status === status && delivery.sentTo === url;
  if (flowing) return status === "pending";
  return status === "paused" || (status === "pending" && !delivery.due);
}

/** The states in which operations that ran at the same time may have left it: those of every order that explains the outcomes. */
export function explain(
  states: readonly State[],
  race: readonly { operation: Operation; outcome: Outcome }[],
): State[] {
  const raced = race.length > 1;
  const results: State[] = [];
  const go = (state: State, left: readonly { operation: Operation; outcome: Outcome }[]) => {
    if (left.length === 0) results.push(atRest(state));
    for (const one of left) {
      const next = apply(raced ? meanwhile(state) : state, one.operation, one.outcome, raced);
      if (next)
        go(
          next,
          left.filter((other) => other !== one),
        );
    }
  };
  for (const state of states) go(state, race);
  return results;
}
