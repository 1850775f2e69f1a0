/**
 * What a worker takes from the queue: due deliveries in the order of their times, and those that wait in lanes, each
 * half of the room where there are both. What is due of destinations and organizations that are stuck is moved to
 * their lanes, so that it need not be looked through.
 */
import type { Pool } from "pg";
import type { Observer } from "../observe/observer.ts";
import { type ClaimedDelivery, claimDue, untilNextDue } from "../store/sql/claim.ts";
import { settleBlocked } from "../store/sql/hold.ts";
import { type Destination, ensureLanes, parkDue, tendLanes, untilNextLane } from "../store/sql/lanes.ts";
import { serveLanes } from "../store/sql/serve.ts";
import { interruptedAttempt } from "./made-attempt.ts";
import type { Occupancy } from "./occupancy.ts";

/** How often a delivery past its schedule is taken over from a worker that died over it, before it has failed. */
const LOST_ATTEMPTS_MAX = 10;
/** How often all lanes are looked after, milliseconds. */
const TEND_MS = 10_000;
/** Before the first organization. */
const NOBODY = "00000000-0000-0000-0000-000000000000";

export interface ClaimsOptions {
  readonly pool: Pool;
  readonly observer: Observer;
  readonly leaseMs: number;
  readonly schedule: readonly number[];
  readonly claimRowsMax: number;
  /** Due rows that are moved to lanes at once, and rows that one lane gives at once. */
  readonly parkRowsMax: number;
  readonly laneRowsMax: number;
  readonly claimIntervalMs: number;
}

export class Claims {
  readonly #options: ClaimsOptions;
  readonly #occupancy: Occupancy;
  #lanesFirst = false;
  #lanesAtMs = 0;
  #tendAtMs = 0;
  #after = NOBODY;
  /** Destinations in whose lanes something was put, by id. */
  readonly #fed = new Map<string, Destination>();

  constructor(options: ClaimsOptions, occupancy: Occupancy) {
    this.#options = options;
    this.#occupancy = occupancy;
  }

  /** Something may be taken from a lane, or was put there. */
  lookAtLanes(fed: readonly Destination[] = []): void {
    for (const destination of fed) this.#fed.set(destination.webhookId, destination);
    this.#lanesAtMs = 0;
  }

  /** Takes up to `roomMax` deliveries and gives them to `begin`; resolves to how long to rest. */
  async take(roomMax: number, begin: (claimed: readonly ClaimedDelivery[]) => void): Promise<number> {
    await this.#park();
    const lanesRestMs = this.#lanesAtMs - performance.now();
    if (lanesRestMs > 0) return Math.min(await this.#claim(roomMax, begin), lanesRestMs);
    const steps = [(limit: number) => this.#claim(limit, begin), (limit: number) => this.#serve(limit, begin)];
    this.#lanesFirst = !this.#lanesFirst;
    if (this.#lanesFirst) steps.reverse();
    const [first, second] = steps;
    const half = Math.ceil(Math.min(this.#occupancy.room, roomMax) / 2);
    const restMs = (await first?.(half)) ?? 0;
    return Math.min(restMs, (await second?.(roomMax)) ?? 0);
  }

  async #claim(roomMax: number, begin: (claimed: readonly ClaimedDelivery[]) => void): Promise<number> {
    const { pool, observer, claimRowsMax, leaseMs, schedule, claimIntervalMs } = this.#options;
    const limit = Math.min(this.#occupancy.claimable, roomMax, claimRowsMax);
    if (limit <= 0) return claimIntervalMs;
    const { destinations: except, organizations: exceptOrganizations } = this.#occupancy.saturated();
    const options = { limit, leaseMs, stepsMax: schedule.length, lostMax: LOST_ATTEMPTS_MAX };
    const { found, claimed, lost, blocked, parked } = await claimDue(pool, { ...options, except, exceptOrganizations });
    for (const attempt of lost) observer.attempted(interruptedAttempt(attempt));
    if (claimed.length > 0) begin(claimed);
    if (blocked.length > 0) await settleBlocked(pool, blocked);
    if (parked.length > 0) this.lookAtLanes(parked);
    if (found === limit) return 0;
    return this.#restUntil(await untilNextDue(pool, { except, exceptOrganizations, withinMs: claimIntervalMs }));
  }

  async #serve(roomMax: number, begin: (claimed: readonly ClaimedDelivery[]) => void): Promise<number> {
    const { pool, claimRowsMax, leaseMs, laneRowsMax, claimIntervalMs } = this.#options;
    await this.#ensure();
    const limit = Math.min(this.#occupancy.room, roomMax, claimRowsMax);
    if (limit <= 0) return claimIntervalMs;
    const { destinations: except, organizations: exceptOrganizations } = this.#occupancy.saturated();
    const rooms = this.#occupancy.rooms();
    const after = this.#after;
    const { claimed, blocked } = await serveLanes(pool, {
      ...{ limit, leaseMs, laneRowsMax, after, except, exceptOrganizations },
      ...{ destinationRooms: rooms.destinations, organizationRooms: rooms.organizations },
    });
    this.#after = claimed.reduce((last, { organizationId: id }) => (id > last ? id : last), NOBODY);
    if (claimed.length > 0) begin(claimed);
    if (blocked.length > 0) await settleBlocked(pool, blocked);
    if (claimed.length > 0 || blocked.length > 0 || after !== NOBODY) return 0;
    await this.#tend();
    const restMs = this.#restUntil(await untilNextLane(pool, { except, exceptOrganizations }));
    this.#lanesAtMs = performance.now() + restMs;
    return restMs;
  }

  async #ensure(): Promise<void> {
    const fed = [...this.#fed.values()];
    if (fed.length === 0) return;
    await ensureLanes(this.#options.pool, fed);
    for (const destination of fed)
      if (this.#fed.get(destination.webhookId) === destination) this.#fed.delete(destination.webhookId);
  }

  async #tend(): Promise<void> {
    if (performance.now() < this.#tendAtMs) return;
    await tendLanes(this.#options.pool);
    this.#tendAtMs = performance.now() + TEND_MS;
  }

  async #park(): Promise<void> {
    const { pool, parkRowsMax: limit } = this.#options;
    const stuck = this.#occupancy.stuck();
    if (stuck.destinations.length === 0 && stuck.organizations.length === 0) return;
    const parked = await parkDue(pool, { ...stuck, limit });
    if (parked.length > 0) this.lookAtLanes(parked);
  }

  #restUntil(ms: number | null): number {
    const { claimIntervalMs } = this.#options;
    return Math.min(Math.max(ms ?? claimIntervalMs, 1), claimIntervalMs);
  }
}
