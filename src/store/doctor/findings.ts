/** What the doctor can find, in words, and what it does about it when it may. */

/** By kind: what is wrong, and how it is mended; null where only a person can tell what is right. */
export const KINDS = {
  queue_without_delivery: {
    says: "owed in the queue, but the delivery does not exist",
    mend: "the delivery is written again; without its event there is nothing to deliver, and the row goes",
  },
  queue_state: {
    says: "the queue and the delivery disagree about its state",
    mend: "the delivery shows what the queue says, as workers go by the queue",
  },
  queue_attempts: {
    says: "the queue and the delivery disagree about the number of attempts",
    mend: "both follow the attempts that are recorded, unless a worker holds the delivery",
  },
  held_without_release: {
    says: "held, though its webhook is active, and nothing is noted that would release it",
    mend: "a release is noted, as by a resume",
  },
  lease_too_long: {
    says: "leased until long after any worker would lease it",
    mend: "the lease ends when a new one would; a worker that lives extends it",
  },
  delivery_without_queue: {
    says: "unfinished, but not in the queue, so that nobody will take it",
    mend: "it is queued again, to go on where its history ends",
  },
  attempt_gap: { says: "attempts are missing between those that are recorded", mend: null },
  attempt_count: {
    says: "the delivery's number of attempts is not that of the recorded ones",
    mend: "the number follows what is recorded, unless a worker holds the delivery",
  },
  counters: {
    says: "the webhook's count of deliveries is not that of its history",
    mend: "the count follows the history",
  },
  dedupe_without_event: {
    says: "repeats are recognised of an event that is not recorded",
    mend: "the key is forgotten, so that the next such request is recorded",
  },
  overdue: { says: "due for long, while no worker is at work on anything", mend: null },
  lane_missing: { says: "due in a lane that does not exist, so that nobody will take it", mend: "the lane is made" },
  release_stuck: { says: "held deliveries of an active webhook are not being released", mend: "they are released" },
  job_stuck: { says: "a bulk job is due for long, while nobody goes on with it", mend: null },
  purge_stuck: { says: "history of a deleted webhook is not being purged", mend: "it is purged" },
  partition_missing: { says: "a partition of the days to come is missing", mend: "it is made" },
  default_rows: {
    says: "rows lie in a default partition",
    mend: "those of a day that may have a partition move there; old ones go with the retention",
  },
} as const satisfies Readonly<Record<string, { says: string; mend: string | null }>>;

export type FindingKind = keyof typeof KINDS;

export interface Finding {
  readonly kind: FindingKind;
  readonly count: number;
  readonly mended: number;
  /** Some of the ids (of deliveries, webhooks or events, as the kind says), or names of tables. */
  readonly examples: readonly string[];
}

const EXAMPLES_MAX = 5;

/** Collects findings by kind. */
export class Findings {
  readonly #byKind = new Map<FindingKind, { count: number; mended: number; examples: string[] }>();

  add(kind: FindingKind, found: readonly string[], mended: number, count = found.length): void {
    if (count === 0) return;
    const entry = this.#byKind.get(kind) ?? { count: 0, mended: 0, examples: [] };
    entry.count += count;
    entry.mended += mended;
    entry.examples.push(...found.slice(0, EXAMPLES_MAX - entry.examples.length));
    this.#byKind.set(kind, entry);
  }

  /** In the order of `KINDS`. */
  list(): Finding[] {
    const kinds = Object.keys(KINDS) as FindingKind[];
    return kinds.flatMap((kind) => {
      const entry = this.#byKind.get(kind);
      return entry ? [{ kind, ...entry }] : [];
    });
  }
}
