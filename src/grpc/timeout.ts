/** The `grpc-timeout` header: at most eight digits and a unit ("Timeout" in the gRPC over HTTP/2 protocol). */
import { Code, ConnectError } from "@connectrpc/connect";

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The deadline in milliseconds, shortened to its bound; undefined without the header. Throws ConnectError if it is none. */
export function parseTimeoutMs(value: string | undefined, timeoutMsMax: number): number | undefined {
  if (value === undefined) return undefined;
  const timeoutMs = grpcTimeoutMs(value);
  if (timeoutMs === undefined) {
    throw new ConnectError(`protocol error: invalid grpc timeout value: ${value}`, Code.InvalidArgument);
  }
  return Math.min(timeoutMs, timeoutMsMax);
}

/** The milliseconds that the header says; undefined where it does not say any. */
export function grpcTimeoutMs(value: string): number | undefined {
  const [, digits = "", unit = ""] = TIMEOUT.exec(value) ?? [];
  const unitMs = UNIT_MS[unit];
  return unitMs === undefined ? undefined : Number(digits) * unitMs;
}
