/**
 * The verification engine: one pure call per request. It chooses the form and lets that form's method judge. Where a
 * published key or certificate is missing it says which; whoever calls fetches it and asks again.
 */
import type { CompiledScheme, CompiledSource } from "./compile.ts";
import { describeMissing, describeUnusableSecrets } from "./explain.ts";
import { isForm } from "./form.ts";
import { couldBeSignedForAnybody } from "./handshakes.ts";
import { isNeededKey, type KeyLookup, type NeededKey } from "./needed-key.ts";
import { hasText } from "./place.ts";
import type { HeaderLookup, InboundRequest } from "./request.ts";
import type { PreparedSecrets } from "./source.ts";
import { isRefusal, type Refusal, refusal, type Verdict } from "./verdict.ts";

const NO_BODY = Buffer.alloc(0);
const nothingFetched: KeyLookup = () => undefined;
const MERE_TOKEN = refusal("signature", "the body is a mere token: the source's handshake signs any for anybody");

/**
 * Judges a request. `nowMs` is milliseconds since the Unix epoch, `fetched` tells keys that have been fetched. Never
 * throws for anything in the request; throws TypeError if the secrets were prepared for another source.
 */
export function verify(
  source: CompiledSource,
  secrets: PreparedSecrets,
  request: InboundRequest,
  nowMs: number,
  fetched = nothingFetched,
): Verdict | NeededKey {
  if (secrets.source !== source) throw new TypeError("secrets were prepared for another source");
  const scheme = chooseScheme(source, request, secrets);
  if (isRefusal(scheme)) return refused(source.schemes.length === 1 ? source.schemes[0].name : source.name, scheme);
  const judge = secrets.judges[source.schemes.indexOf(scheme)];
  if (judge === undefined) {
    const reason = describeUnusableSecrets(source, scheme, secrets.count);
    return refused(scheme.name, refusal("secret", reason));
  }
  const outcome = judge(request, { nowMs, fetched });
  if (typeof outcome === "number") {
    if (couldBeSignedForAnybody(source, request.body)) return refused(scheme.name, MERE_TOKEN);
    return { valid: true, scheme: scheme.name, secretIndex: outcome, verified: scheme.kind !== "none" };
  }
  return isNeededKey(outcome) ? outcome : refused(scheme.name, outcome);
}

/**
 * Why the headers alone refuse a request, in the words of its full verification; undefined if the body must be seen.
 * A source whose signature may stand in the body is never refused here.
 */
export function refuseHead(source: CompiledSource, header: HeaderLookup): Refusal | undefined {
  const inHead = source.schemes.every(({ method }) => method.places.every((place) => place.from === "header"));
  if (!inHead) return undefined;
  const scheme = chooseScheme(source, { header, body: NO_BODY, method: "POST", url: undefined });
  return isRefusal(scheme) ? scheme : undefined;
}

/**
 * The scheme whose signature the request bears: exactly one of the source's forms, or where the source has preferences,
 * the first that one of the secrets can key.
 */
export function chooseScheme(
  source: CompiledSource,
  request: InboundRequest,
  secrets?: PreparedSecrets,
): CompiledScheme | Refusal {
  const [only] = source.schemes;
  if (source.schemes.length === 1) {
    return bears(request, only) ? only : refusal("missing_signature", describeMissing(source, request));
  }
  const borne = source.schemes.filter((scheme) => bears(request, scheme));
  const [first, second] = borne;
  if (first === undefined) return refusal("missing_signature", describeMissing(source, request));
  if (second === undefined) return first;
  if (source.exclusive) {
    const names = [first, second].map(({ method }) => method.places[0]?.name).join(" and ");
    return refusal("ambiguous", `${names} are both present: the sender must use only one of them`);
  }
  return borne.find((scheme) => secrets?.judges[source.schemes.indexOf(scheme)]) ?? first;
}

/** Whether the request has a value where the scheme's signatures stand. */
function bears(request: InboundRequest, { method, body }: CompiledScheme): boolean {
  if (body !== undefined && (body === "form") !== isForm(request.header)) return false;
  return method.places.length === 0 || method.places.some((place) => hasText(place, request));
}

function refused(scheme: string, { check, reason }: Refusal): Verdict {
  return { valid: false, scheme, check, reason };
}
