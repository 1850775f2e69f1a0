/** A provider as one entry of data: how it signs, what it is answered, and what people need to know to set it up. */
import type { Handshake } from "./handshake.ts";
import type { Scheme } from "./scheme.ts";
import type { SuccessAnswer } from "./success-answer.ts";

/** The webhook's secret in words. */
export interface SecretInWords {
  /**
   * Who makes it: the `provider` (bring it), `you` (any text; ours will do, paste it at the provider), or nobody:
   * a `known` value that is no secret, such as a public key or an id.
   */
  readonly from: "provider" | "you" | "known";
  /** What its text is, with the form where it has parts: "app-secret:verify-token". */
  readonly form: string;
  /** Where at the provider it is found or entered. */
  readonly where: string;
}

export interface Preset {
  /** The provider's name as people know it. */
  readonly label: string;
  /** The provider's page about its signatures. */
  readonly docUrl: string | null;
  /** Second names of the source. */
  readonly aliases?: readonly string[];
  readonly schemes: readonly [Scheme, ...Scheme[]];
  /**
   * Of several forms a request must bear exactly one (`exclusive`, the default), or the first that it bears is judged
   * (`preferred`).
   */
  readonly forms?: "exclusive" | "preferred";
  /** Whether the signature covers the body, in every form that is taken. */
  readonly bodyAuthenticated: boolean;
  readonly secret: SecretInWords;
  /** What to paste where, in order. "{receiveUrl}" stands for the webhook's URL. */
  readonly setup: readonly string[];
  /** Tried in order, before an event is seen in the request. */
  readonly handshakes?: readonly Handshake[];
  /** Default: 200 and our receipt. */
  readonly success?: SuccessAnswer;
  /** Seconds within which the provider wants its answer; null where it does not say. */
  readonly ackSecondsMax: number | null;
  /** What people should know besides, one sentence each. */
  readonly notes?: readonly string[];
}
