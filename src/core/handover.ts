/** How an event that was just committed reaches this process's own delivery worker without a claim. */
import type { EventContent } from "../store/sql/lookup.ts";
import type { ReceivingWebhook } from "./receiving-webhook.ts";

/** A delivery that was committed already leased, with everything that its first attempt needs. */
export interface HandedOver {
  readonly deliveryId: string;
  readonly organizationId: string;
  readonly webhookId: string;
  readonly leaseToken: string;
  readonly webhook: ReceivingWebhook;
  readonly event: EventContent;
}

export interface DestinationOf {
  readonly webhookId: string;
  readonly organizationId: string;
}

export interface Handover {
  /** A lease token if the worker has room for one more delivery of so many bytes to this destination, else null. */
  reserve(destination: DestinationOf, bytes: number): string | null;
  /** Whether the destination or its organization has its share and hardly makes room: deliveries wait in its lane. */
  isStuck(destination: DestinationOf): boolean;
  /** The delivery that was reserved for is committed: begin. */
  take(delivery: HandedOver): void;
  /** Nothing was committed for the token. */
  cancel(leaseToken: string): void;
  /** Something else is due: also in the lane of that destination. */
  wake(lane?: DestinationOf): void;
}
