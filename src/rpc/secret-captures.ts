import type { ServiceImpl } from "@connectrpc/connect";
import type { SecretCaptureService } from "../../gen/alumia/webhooks/v1/secret_capture_service_pb.ts";
import type { SecretCaptures } from "../core/secret-captures.ts";
import { callerOf, incomingKey } from "./context.ts";
import { webhookMessage } from "./messages.ts";
import { captureMessage } from "./receiving-messages.ts";

/** How long a window stays open where nobody says, seconds. */
const SECONDS_DEFAULT = 600;

export function secretCaptureService(captures: SecretCaptures): ServiceImpl<typeof SecretCaptureService> {
  return {
    async openSecretCapture({ id, seconds }, context) {
      const capture = await captures.open(callerOf(context), id, seconds ?? SECONDS_DEFAULT);
      return { capture: captureMessage(capture) };
    },
    async getSecretCapture({ id }, context) {
      return { capture: captureMessage(await captures.get(callerOf(context), id)) };
    },
    async confirmSecretCapture({ id }, context) {
      const view = await captures.confirm(callerOf(context), id);
      return { webhook: webhookMessage(view, context.values.get(incomingKey).origin) };
    },
  };
}
