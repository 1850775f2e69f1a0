/** Credentials that a request holds beside its headers. */
import type { CompiledSource } from "./compile.ts";
import { placeTexts } from "./place.ts";

/** Whether the body has a signature or a token where the source looks for one. */
export function bodyHoldsCredential(source: CompiledSource, body: Buffer, contentType: string | null): boolean {
  const places = source.schemes.flatMap(({ method }) => method.places.filter((place) => place.from === "body"));
  if (places.length === 0) return false;
  const header = (name: string) => (name === "content-type" ? (contentType ?? undefined) : undefined);
  const request = { header, body, method: "POST", url: undefined };
  return places.some((place) => placeTexts(place, request).some((text) => text !== undefined));
}
