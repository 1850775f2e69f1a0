/** `target` with the value at the path, changed in place where it can hold it; a step of digits (or `*`) makes an array. */
export function withField(target: unknown, [step, ...rest]: readonly string[], value: unknown): unknown {
  if (step === undefined) return value;
  const index = step === "*" ? "0" : step;
  const empty: unknown = /^\d+$/.test(index) ? [] : {};
  const container = (typeof target === "object" && target !== null ? target : empty) as Record<string, unknown>;
  container[index] = withField(container[index], rest, value);
  return container;
}
