/** An attempt that was made → what is recorded of it. Pure. */
import { redactHeaders } from "../core/redact-headers.ts";
import type { CompletedAttempt, NextState } from "../store/sql/complete.ts";
import type { Forwarded } from "./forward.ts";
import type { RunJob } from "./run.ts";

/** Headers that tell of the connection, not of the answer (RFC 9110 §7.6.1): they are not kept. */
const OF_CONNECTION = new Set(["connection", "keep-alive"]);

export function completedAttempt(
  job: RunJob,
  attempt: Pick<RunJob, "number" | "trigger">,
  { url, forwarded }: { readonly url: string; readonly forwarded: Forwarded },
  next: NextState,
): CompletedAttempt {
  const { senderVersion, credentialHeaders, result } = forwarded;
  return {
    deliveryId: job.deliveryId,
    leaseToken: job.leaseToken,
    organizationId: job.organizationId,
    webhookId: job.webhookId,
    number: attempt.number,
    trigger: attempt.trigger,
    laned: job.laned,
    succeeded: result.errorCode === null,
    url,
    startedAtMs: result.startedAtMs,
    durationMs: result.durationMs,
    times: result.times,
    statusCode: result.statusCode,
    errorCode: result.errorCode,
    errorMessage: result.errorMessage,
    senderVersion,
    credentialHeaders,
    responseHeaders: redactHeaders(result.responseHeaders.filter(([name]) => !OF_CONNECTION.has(name.toLowerCase()))),
    responseBody: result.responseBody,
    responseTruncated: result.responseTruncated,
    remoteAddress: result.remoteAddress,
    next,
  };
}
