/** A run is bounded to three minutes: a measure that would end later is left out, and said to be. */
const SECONDS_MAX = 180;

/** Takes a measure that needs about so many seconds on a quiet machine; undefined if there is no time left for it. */
export async function inTime<Result>(
  name: string,
  seconds: number,
  measure: () => Promise<Result>,
): Promise<Result | undefined> {
  const leftSeconds = SECONDS_MAX - performance.now() / 1_000;
  if (leftSeconds >= seconds) return await measure();
  process.stdout.write(
    `\n${name}: left out, ${Math.max(leftSeconds, 0).toFixed(0)} s are left and it needs ${seconds}\n`,
  );
  return undefined;
}
