/** The deadlines that RPC clients ask for: `grpc-timeout` (gRPC, gRPC-Web) and `connect-timeout-ms`. */
import { grpcTimeoutMs } from "../grpc/timeout.ts";

/**
 * Puts the bound in the place of a longer deadline, which is nobody's mistake: Connect would refuse the call. What is
 * no deadline stays, to be refused.
 */
export function boundTimeout(headers: Headers, msMax: number): void {
  if ((grpcTimeoutMs(headers.get("grpc-timeout") ?? "") ?? 0) > msMax) headers.set("grpc-timeout", `${msMax}m`);
  if (connectTimeoutMs(headers.get("connect-timeout-ms")) > msMax) headers.set("connect-timeout-ms", String(msMax));
}

const connectTimeoutMs = (value: string | null): number => (/^\d{1,10}$/.test(value ?? "") ? Number(value) : 0);
