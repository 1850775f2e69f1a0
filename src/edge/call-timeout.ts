/** The deadlines that RPC clients ask for: `grpc-timeout` (gRPC, gRPC-Web) and `connect-timeout-ms`. */

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/**
 * Puts the bound in the place of a longer deadline, which is nobody's mistake: Connect would refuse the call. What is
 * no deadline stays, to be refused.
 */
export function boundTimeout(headers: Headers, msMax: number): void {
  if (grpcTimeoutMs(headers.get("grpc-timeout")) > msMax) headers.set("grpc-timeout", `${msMax}m`);
  if (connectTimeoutMs(headers.get("connect-timeout-ms")) > msMax) headers.set("connect-timeout-ms", String(msMax));
}

function grpcTimeoutMs(value: string | null): number {
  const [, digits = "", unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(value ?? "") ?? [];
  return Number(digits) * (UNIT_MS[unit] ?? 0);
}

const connectTimeoutMs = (value: string | null): number => (/^\d{1,10}$/.test(value ?? "") ? Number(value) : 0);
