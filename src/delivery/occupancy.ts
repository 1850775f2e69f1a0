/**
 * How many deliveries a worker holds that are promised, waiting for a slot or under way: in all, and for each
 * destination. A destination at its share gets no more until one of its deliveries ends, so that one that hangs cannot
 * hold the whole pool. An organization gets no more once it holds three times the slots that are free: alone it leaves a
 * quarter to newcomers, of two that take all they get each has three sevenths.
 *
 * Where deliveries end quickly, more may be held than are under way: as many as ended lately, so that they wait in
 * memory for a moment and no longer; they do not count as holding slots. The line behind a slow destination is the queue.
 */
export interface OccupancyLimits {
  /** Attempts under way: in all, and at one destination. */
  readonly max: number;
  readonly destinationMax: number;
  /** Deliveries that may wait for a slot: in all, and of one destination. */
  readonly lineMax: number;
  readonly destinationLineMax: number;
  /** How long one may wait if all goes on as it does, milliseconds. */
  readonly lineMs: number;
}

/** What counts: a delivery to this destination of this organization. */
export interface Occupant {
  readonly webhookId: string;
  readonly organizationId: string;
}

export interface Saturated {
  readonly destinations: readonly string[];
  readonly organizations: readonly string[];
}

/** An organization gets no more once it holds so many times what is free. */
const ORGANIZATION_SHARE = 3;

export class Occupancy {
  readonly #limits: OccupancyLimits;
  readonly #now: () => number;
  readonly #byDestination = new Map<string, Held>();
  readonly #byOrganization = new Map<string, Held>();
  readonly #all = new Held(0);

  constructor(limits: OccupancyLimits, now = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
  }

  /** Room for further deliveries. */
  get room(): number {
    return Math.max(this.#limits.max + this.#paceOf(this.#all) - this.#all.count, 0);
  }

  /**
   * How many deliveries may be claimed at once without giving any destination outside `saturated` more than its share,
   * and one that is new more than half of the line. While others wait in line, it is worth waiting until there is room
   * for several.
   */
  get claimable(): number {
    const { destinationMax } = this.#limits;
    const line = this.#paceOf(this.#all);
    const room = this.room;
    if (room < line / 4) return 0;
    const { destinations, organizations } = this.saturated();
    const [fullDestinations, fullOrganizations] = [new Set(destinations), new Set(organizations)];
    const rooms = this.rooms();
    let claimable = Math.min(room, destinationMax + Math.floor(line / 2));
    for (const [id, one] of rooms.destinations) if (!fullDestinations.has(id)) claimable = Math.min(claimable, one);
    for (const [id, one] of rooms.organizations) if (!fullOrganizations.has(id)) claimable = Math.min(claimable, one);
    return claimable;
  }

  /** Whether a delivery to this destination may be taken. */
  admits({ webhookId, organizationId }: Occupant): boolean {
    const [held, organization] = [this.#byDestination.get(webhookId), this.#byOrganization.get(organizationId)];
    if (this.room <= 0 || (held !== undefined && this.#roomOf(held) <= 0)) return false;
    if (organization === undefined) return true;
    // Where so few are held, nobody needs to be looked at.
    if (organization.count < ORGANIZATION_SHARE * (this.#limits.max - this.#all.count)) return true;
    return this.#organizationRoomOf(organization, this.#free()) > 0;
  }

  /**
   * Destinations that have their whole share, or so much of it that they wait for room for several, and organizations
   * that have theirs.
   */
  saturated(): Saturated {
    const free = this.#free();
    return {
      destinations: idsOf(this.#byDestination, (held) => this.#isFull(held)),
      organizations: idsOf(this.#byOrganization, (held) => this.#isOrganizationFull(held, free)),
    };
  }

  /** Whether nothing for this destination is claimed as things are. */
  isFullFor({ webhookId, organizationId }: Occupant): boolean {
    const [held, organization] = [this.#byDestination.get(webhookId), this.#byOrganization.get(organizationId)];
    if (this.room <= 0 || this.room < this.#paceOf(this.#all) / 4) return true;
    if (held && this.#isFull(held)) return true;
    return organization !== undefined && this.#isOrganizationFull(organization, this.#free());
  }

  /** Those of the saturated that turn over so slowly that what is due should not be looked through for others. */
  stuck(): Saturated {
    const { lineMs, destinationMax } = this.#limits;
    const isSlow = (held: Held, share: number) =>
      held.ageMs(this.#now()) > 2 * lineMs && held.pace(this.#now(), lineMs, share) < share;
    const free = this.#free();
    return {
      destinations: idsOf(this.#byDestination, (held) => this.#roomOf(held) <= 0 && isSlow(held, destinationMax)),
      organizations: idsOf(
        this.#byOrganization,
        (held) => this.#organizationRoomOf(held, free) <= 0 && isSlow(held, held.count),
      ),
    };
  }

  isStuck({ webhookId, organizationId }: Occupant): boolean {
    const { destinations, organizations } = this.stuck();
    return destinations.includes(webhookId) || organizations.includes(organizationId);
  }

  /** Room by id, of destinations and organizations that hold anything. */
  rooms(): { readonly destinations: Map<string, number>; readonly organizations: Map<string, number> } {
    const free = this.#free();
    return {
      destinations: new Map([...this.#byDestination].map(([id, held]) => [id, Math.max(this.#roomOf(held), 0)])),
      organizations: new Map(
        [...this.#byOrganization].map(([id, held]) => [id, Math.max(this.#organizationRoomOf(held, free), 0)]),
      ),
    };
  }

  enter({ webhookId, organizationId }: Occupant): void {
    for (const [by, id] of [
      [this.#byDestination, webhookId],
      [this.#byOrganization, organizationId],
    ] as const) {
      const held = by.get(id) ?? new Held(this.#now());
      by.set(id, held);
      held.count += 1;
    }
    this.#all.count += 1;
  }

  /** `attemptMs`: how long its attempt took, if there was one. */
  leave({ webhookId, organizationId }: Occupant, attemptMs: number): void {
    const { lineMs } = this.#limits;
    const [held, organization] = [this.#byDestination.get(webhookId), this.#byOrganization.get(organizationId)];
    if (!held || !organization) return;
    // One that took long tells nothing of how soon others will end, even if many end at once.
    const wasQuick = attemptMs <= 2 * lineMs;
    for (const one of [held, organization, this.#all]) one.end(this.#now(), lineMs, wasQuick);
    if (held.count === 0) this.#byDestination.delete(webhookId);
    if (organization.count === 0) this.#byOrganization.delete(organizationId);
  }

  #isFull(held: Held): boolean {
    const room = this.#roomOf(held);
    return room <= 0 || room < this.#destinationPaceOf(held) / 4;
  }

  #isOrganizationFull(held: Held, free: number): boolean {
    const room = this.#organizationRoomOf(held, free);
    return room <= 0 || room < this.#paceOf(held) / 4;
  }

  /** Slots that are not held, those in line apart. */
  #free(): number {
    let free = this.#limits.max;
    for (const held of this.#byOrganization.values()) free -= Math.max(held.count - this.#paceOf(held), 0);
    return Math.max(free, 0);
  }

  #organizationRoomOf(held: Held, free: number): number {
    const beyondLine = held.count - this.#paceOf(held);
    const share = Math.ceil((ORGANIZATION_SHARE * free - Math.max(beyondLine, 0)) / (1 + ORGANIZATION_SHARE));
    return share + Math.max(-beyondLine, 0);
  }

  #roomOf(held: Held): number {
    return this.#limits.destinationMax + this.#destinationPaceOf(held) - held.count;
  }

  #paceOf(held: Held): number {
    return held.pace(this.#now(), this.#limits.lineMs, this.#limits.lineMax);
  }

  #destinationPaceOf(held: Held): number {
    return held.pace(this.#now(), this.#limits.lineMs, this.#limits.destinationLineMax);
  }
}

function idsOf(by: ReadonlyMap<string, Held>, is: (held: Held) => boolean): string[] {
  return [...by].filter(([, held]) => is(held)).map(([id]) => id);
}

/** Deliveries held, and how many of them ended lately that had been quick. */
class Held {
  count = 0;
  readonly #sinceMs: number;
  #span = 0;
  #ended = 0;
  #endedBefore = 0;

  constructor(nowMs: number) {
    this.#sinceMs = nowMs;
  }

  /** How long there has been one at any time, milliseconds. */
  ageMs(nowMs: number): number {
    return nowMs - this.#sinceMs;
  }

  end(nowMs: number, lineMs: number, wasQuick: boolean): void {
    this.#turn(nowMs, lineMs);
    if (wasQuick) this.#ended += 1;
    this.count -= 1;
  }

  /** How many ended in a stretch of `lineMs` lately, `max` at most. */
  pace(nowMs: number, lineMs: number, max: number): number {
    this.#turn(nowMs, lineMs);
    return Math.min(Math.max(this.#ended, this.#endedBefore), max);
  }

  #turn(nowMs: number, lineMs: number): void {
    const span = Math.floor(nowMs / lineMs);
    if (span === this.#span) return;
    this.#endedBefore = span === this.#span + 1 ? this.#ended : 0;
    this.#ended = 0;
    this.#span = span;
  }
}
