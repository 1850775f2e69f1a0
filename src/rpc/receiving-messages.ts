/** What receiving shows besides events → messages. */
import { create } from "@bufbuild/protobuf";
import { type SecretCapture, SecretCaptureSchema } from "../../gen/alumia/webhooks/v1/secret_capture_service_pb.ts";
import {
  type Handshake,
  HandshakeSchema,
  type Rejection,
  RejectionSchema,
} from "../../gen/alumia/webhooks/v1/trace_service_pb.ts";
import { exactText } from "../core/exact-text.ts";
import type { ReceiveTrace } from "../store/entities/receive-trace.ts";
import type { Capture } from "../store/sql/captures.ts";
import { headerMap, INT32_MAX, some, time } from "./messages.ts";
import { timestamp } from "./timestamp.ts";

function traceFields(trace: ReceiveTrace) {
  return {
    id: trace.id,
    webhookId: trace.webhookId,
    receivedAt: timestamp(trace.receivedAt),
    statusCode: trace.statusCode,
    method: trace.method,
    headers: headerMap(trace.headers),
    remoteAddress: trace.remoteAddress,
    count: Math.min(trace.further, INT32_MAX),
  };
}

export function rejectionMessage(trace: ReceiveTrace): Rejection {
  const body = trace.body && Buffer.from(trace.body);
  return create(RejectionSchema, {
    ...traceFields(trace),
    check: trace.check,
    reason: trace.reason,
    ...some("payload", body && exactText(body, trace.bodyTruncated)),
    ...some("body", body),
    bodyTruncated: trace.bodyTruncated,
    ...some("size", trace.size),
  });
}

export function handshakeMessage(trace: ReceiveTrace): Handshake {
  return create(HandshakeSchema, { ...traceFields(trace), summary: trace.reason });
}

export function captureMessage(capture: Capture): SecretCapture {
  return create(SecretCaptureSchema, {
    webhookId: capture.webhookId,
    state: capture.hasEnded ? "ended" : capture.capturedAt ? "captured" : "open",
    openedAt: timestamp(capture.openedAt),
    expiresAt: timestamp(capture.expiresAt),
    ...time("capturedAt", capture.capturedAt),
    ...some("remoteAddress", capture.remoteAddress),
  });
}
