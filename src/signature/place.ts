/** Where a value stands in a request. */
import { bodyField, bodyFields, type InboundRequest } from "./request.ts";
import type { Place } from "./scheme.ts";

/** A header's value or a field of the JSON body. */
export type CompiledPlace =
  | { readonly from: "header"; readonly name: string }
  | { readonly from: "body"; readonly name: string; readonly path: readonly string[] };

export function compilePlace({ from = "header", name }: Pick<Place, "from" | "name">): CompiledPlace {
  return from === "header" ? { from, name: name.toLowerCase() } : { from, name, path: name.split(".") };
}

/** The text at a place; undefined where there is none or it is empty. */
export function placeText(place: CompiledPlace, request: InboundRequest): string | undefined {
  const value = place.from === "header" ? request.header(place.name) : bodyField(request, place.path);
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Whether there is any text at a place. */
export function hasText(place: CompiledPlace, request: InboundRequest): boolean {
  return place.from === "body" && place.path.includes("*")
    ? placeTexts(place, request).some((text) => text !== undefined)
    : placeText(place, request) !== undefined;
}

/** The texts at a place whose path may name several; undefined stands for one that is not there or empty. */
export function placeTexts(place: CompiledPlace, request: InboundRequest): readonly (string | undefined)[] {
  if (place.from === "header") return [placeText(place, request)];
  return bodyFields(request, place.path).map((value) =>
    typeof value === "string" && value !== "" ? value : undefined,
  );
}
