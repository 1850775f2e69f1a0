/** A webhook's verification settings: message ↔ the plain form that is validated and stored, which is its JSON. */
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type Verification as VerificationMessage,
  VerificationSchema,
} from "../../gen/alumia/webhooks/v1/verification_pb.ts";
import type { Verification } from "../signature/verification/settings.ts";
import { maskPaths } from "./mask-paths.ts";

/** Settings that are not set are absent. */
export function settingsOf(message: VerificationMessage): Verification {
  return toJson(VerificationSchema, message) as Verification;
}

/** What a later version has stored besides is left out. */
export function verificationMessage(settings: Verification): VerificationMessage {
  return fromJson(VerificationSchema, settings as JsonValue, { ignoreUnknownFields: true });
}

/** Mask paths below `verification`, and where they lead in the plain form. */
export const VERIFICATION_PATHS = maskPaths(VerificationSchema);
