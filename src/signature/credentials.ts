/** Credentials that a request holds beside its headers. */
import type { CompiledSource } from "./compile.ts";
import { placeTexts } from "./place.ts";
import { bodyField } from "./request.ts";

/** Whether the body has a signature, a token or a secret where the source looks for one. */
export function bodyHoldsCredential(source: CompiledSource, body: Buffer, contentType: string | null): boolean {
  const places = source.schemes.flatMap(({ method }) => method.places.filter((place) => place.from === "body"));
  const brought = source.handshakes.flatMap((handshake) =>
    handshake.kind === "capture-secret" && handshake.secret.from === "body" ? [handshake.secret.name.split(".")] : [],
  );
  if (places.length + brought.length === 0) return false;
  const header = (name: string) => (name === "content-type" ? (contentType ?? undefined) : undefined);
  const request = { header, body, method: "POST", url: undefined };
  return (
    places.some((place) => placeTexts(place, request).some((text) => text !== undefined)) ||
    brought.some((path) => bodyField(request, path) !== undefined)
  );
}
