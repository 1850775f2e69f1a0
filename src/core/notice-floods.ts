/**
 * How much is told: of one webhook in one way, so many a minute each by itself. What goes beyond is counted, and told in
 * one sum when the minute is over. Pure.
 */
import type { Flood, Notice } from "../store/sql/notices.ts";

const MINUTE_MS = 60_000;

/** What is to be told: one notice, or how many more there were. */
export interface Told extends Pick<Notice, "webhookId" | "type"> {
  readonly notice: Notice | null;
  readonly count: number;
  /** When the first and the last of them was raised. */
  readonly since: Date;
  readonly until: Date;
}

/** Takes the notices in their order. What concerns the organization as a whole is rare, and always told. */
export function meter(
  { notices, floods, now }: { notices: readonly Notice[]; floods: readonly Flood[]; now: Date },
  perMinuteMax: number,
): { told: readonly Told[]; floods: readonly Flood[] } {
  const ended = floods.filter(({ until }) => until <= now);
  const told = ended.flatMap(sumOf);
  const until = new Date(now.getTime() + MINUTE_MS);
  // What follows a sum belongs to the same flood: the sum counts as one of those told.
  const begun = ended
    .filter(({ further }) => further > 0)
    .map((flood): Flood => ({ ...fresh(flood.webhookId, flood, until), told: 1 }));
  const kept = new Map(
    [...floods.filter((flood) => flood.until > now), ...begun].map((flood) => [keyOf(flood), flood]),
  );
  for (const notice of notices) {
    const { webhookId, raisedAt } = notice;
    if (webhookId !== null) {
      const flood = kept.get(keyOf(notice)) ?? fresh(webhookId, notice, until);
      const isTold = flood.told < perMinuteMax;
      kept.set(keyOf(notice), isTold ? { ...flood, told: flood.told + 1 } : withFurther(flood, raisedAt));
      if (!isTold) continue;
    }
    told.push({ webhookId, type: notice.type, notice, count: 1, since: raisedAt, until: raisedAt });
  }
  return { told, floods: [...kept.values()] };
}

const keyOf = ({ webhookId, type }: Pick<Notice, "webhookId" | "type">): string => `${webhookId} ${type}`;

function fresh(webhookId: string, { type }: Pick<Notice, "type">, until: Date): Flood {
  return { webhookId, type, until, told: 0, further: 0, furtherSince: null, furtherUntil: null };
}

const withFurther = (flood: Flood, at: Date): Flood => ({
  ...flood,
  further: flood.further + 1,
  furtherSince: flood.furtherSince ?? at,
  furtherUntil: at,
});

function sumOf({ webhookId, type, further, furtherSince, furtherUntil, until }: Flood): Told[] {
  if (further === 0) return [];
  const [first, last] = [furtherSince ?? until, furtherUntil ?? until];
  return [{ webhookId, type, notice: null, count: further, since: first, until: last }];
}
