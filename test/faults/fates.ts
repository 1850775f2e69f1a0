/** What the destination does with an event: its fate, which the event's first byte names. */
import type { ServerResponse } from "node:http";
import type { Random } from "./random.ts";

type Fate = (response: ServerResponse, attempt: number, delayMs: number) => void;

const answer = (response: ServerResponse, status: number, headers: Readonly<Record<string, string>> = {}) =>
  response.writeHead(status, headers).end("answer");

const taken: Fate = (response, _attempt, delayMs) => setTimeout(answer, delayMs % 30, response, 200);
const takenLate: Fate = (response, _attempt, delayMs) => setTimeout(answer, 200 + delayMs, response, 200);
const failsOnce: Fate = (response, attempt) => answer(response, attempt === 1 ? 500 : 200);
const resetsOnce: Fate = (response, attempt) => (attempt === 1 ? response.destroy() : answer(response, 200));
/** Longer than a quick retry waits in memory: it goes back to the queue. */
const asksToWait: Fate = (response, attempt) =>
  attempt === 1 ? answer(response, 503, { "retry-after": "1" }) : answer(response, 200);
const fails: Fate = (response) => answer(response, 500);
/** Longer than a round lasts: it stays scheduled. */
const asksForLater: Fate = (response) => answer(response, 503, { "retry-after": "7200" });

const FATES: readonly Fate[] = [taken, takenLate, failsOnce, resetsOnce, asksToWait, fails, asksForLater];
/** How many of a hundred events meet each. */
const SHARES: readonly number[] = [68, 8, 8, 4, 4, 4, 4];

/** An event's body: its fate, a delay, and bytes of no meaning that are not text. */
export function makeBody(random: Random): Buffer {
  let share = random.between(1, 100);
  const fate = SHARES.findIndex((each) => {
    share -= each;
    return share <= 0;
  });
  return Buffer.concat([Buffer.from([fate]), random.bytes(bodyLength(random))]);
}

/** Mostly small, now and then large. */
function bodyLength(random: Random): number {
  const kind = random.next();
  if (kind < 0.01) return random.between(200_000, 800_000);
  return kind < 0.06 ? random.between(2_000, 60_000) : random.between(1, 1_500);
}

/** Does with a request what its body says. */
export function meetFate(body: Buffer, attempt: number, response: ServerResponse): void {
  (FATES[body[0] ?? 0] ?? taken)(response, attempt, body[1] ?? 0);
}
