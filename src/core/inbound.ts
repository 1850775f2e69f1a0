/** Requests as receiving takes them. */
import type { InboundRequest } from "../signature/request.ts";
import type { HeaderList } from "../store/entities/event.ts";

/** One inbound request, its body complete. */
export interface Inbound {
  readonly webhookId: string;
  readonly request: InboundRequest;
  /** Names and values as they came. */
  readonly headers: HeaderList;
  readonly contentType: string | null;
  /** Whether we made the request ourselves, for a test; `unsigned` where only the provider could have signed it. */
  readonly synthetic: boolean | "unsigned";
  /** Where it came from, and the client as the caps count it; null where we made it. */
  readonly remote: Remote | null;
  /** From the head to the end of the body, milliseconds; undefined where it came as a message. */
  readonly readMs?: number;
}

export interface Remote {
  readonly address: string;
  readonly client: string;
}

/** What is known of a request before its body. */
export interface InboundHead {
  readonly request: Omit<InboundRequest, "body">;
  /** As declared; undefined where nothing is. */
  readonly bodyBytes: number | undefined;
}
