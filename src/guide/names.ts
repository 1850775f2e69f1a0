/** What an event is called and what makes a repeat, in words. */
import type { FormFacts } from "../signature/catalogue.ts";
import type { Lookups, RepeatPolicy } from "../signature/scheme.ts";
import { code, listed } from "./prose.ts";

const REPEATS: Readonly<Record<RepeatPolicy, string>> = {
  "signed-id": "A repeat is the same id with the same body; the same id with another body is recorded and flagged.",
  "restamped-id": "A repeat is the same id, though the body differs from try to try.",
  "unsigned-id": "The id is not signed, so a repeat is the same signed content.",
  "unsigned-id-and-type":
    "The id is not signed, and equal bodies may be of several types, so a repeat is the same signed content of the same type.",
  "unsigned-id-and-body": "The id is not signed, so a repeat is the same id with the same signed content.",
  none: "Nothing tells a repeat from another event, so every request is recorded as one.",
};

/** What each form says of type, id and repeats; said once where all say the same. */
export function namesOf(forms: readonly FormFacts[]): readonly string[] {
  return [...new Set(forms.map(namesOfForm))];
}

function namesOfForm({ scheme: { type, id, repeats } }: FormFacts): string {
  const ofType = type.length === 0 ? "The event has no type." : `The event's type is ${places(type, "each")}.`;
  const ofId = id.length === 0 ? "It has no id." : `Its id is ${places(id, "the only")}.`;
  return `${ofType} ${ofId} ${REPEATS[repeats]}`;
}

/** `which` says which member of a list counts. */
function places(lookups: Lookups, which: string): string {
  const [first = "", ...others] = lookups.map((lookup) => lookupInWords(lookup, which));
  return others.length === 0 ? first : `${first}, or without it ${others.join(", or ")}`;
}

function lookupInWords(lookup: string, which: string): string {
  const parts = lookup.split("+");
  const lists = new Set(parts.map(listOf));
  const [list] = lists;
  if (parts.length > 1 && lists.size === 1 && list !== undefined) {
    return `${listed(parts.map((part) => code(part.slice(2 + list.length))))} of ${memberOf(list, which)}`;
  }
  const [first = "", ...rest] = parts.map((part) => partInWords(part, which));
  return rest.length === 0 ? first : `${first}, followed by ${listed(rest)}`;
}

function partInWords(part: string, which: string): string {
  const name = part.slice(2);
  if (part.startsWith("h:")) return `the header ${code(name)}`;
  if (part.startsWith("j:")) return fieldInWords(name, which);
  if (name.startsWith("!")) return `the first key of the body but ${code(name.slice(1))}`;
  return `the first key of the body that is ${code(name)}`;
}

function fieldInWords(path: string, which: string): string {
  const list = listOf(`j:${path}`);
  return list === undefined
    ? `${code(path)} in the body`
    : `${code(path.slice(list.length))} of ${memberOf(list, which)}`;
}

/** `a.*.` of `j:a.*.b`: the path of a list's members. */
const listOf = (part: string): string | undefined => /^j:(.*\*\.)/.exec(part)?.[1];

function memberOf(list: string, which: string): string {
  const path = list.replace(/\.?\*\.$/, "");
  return `${which} member of ${path === "" ? "the body" : code(path)}`;
}
