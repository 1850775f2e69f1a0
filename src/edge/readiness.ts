/** What `/readyz` rests on. Anonymous probes must cost the store nothing. */

/** How long an answer about the store is repeated, milliseconds. */
export const READINESS_MS = 1_000;

/** The answer of `ask`, asked at most once in `forMs`, and once at a time. */
export function remember<Answer>(forMs: number, ask: () => Promise<Answer>): () => Promise<Answer> {
  let last: { readonly answer: Promise<Answer>; readonly atMs: number } | undefined;
  let asking = false;
  return () => {
    const nowMs = performance.now();
    if (!last || (!asking && nowMs - last.atMs >= forMs)) {
      asking = true;
      const answer = ask().finally(() => {
        asking = false;
      });
      last = { answer, atMs: nowMs };
    }
    return last.answer;
  };
}
