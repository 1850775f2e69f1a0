/** What the verification of a source cannot do, and what an answer must obey, in words. */
import type { FormFacts, SourceFacts } from "../signature/catalogue.ts";
import { prose, shortLabel } from "./prose.ts";

export function limitsOf({ preset, forms, publicUrlRequired }: SourceFacts): readonly string[] {
  const { label, bodyAuthenticated, notes = [] } = preset;
  return [
    ...(bodyAuthenticated ? [] : [unauthenticated(label, forms)]),
    ...replays(forms),
    ...(publicUrlRequired
      ? [
          "The URL is signed, so every request is refused unless `PUBLIC_URL` is set to the origin that the provider calls.",
        ]
      : []),
    ...notes.map(prose),
  ];
}

function unauthenticated(label: string, forms: readonly FormFacts[]): string {
  const shown = forms.filter(showsSecret);
  if (shown.length === 0) {
    return "**The body is not authenticated as a whole**: what the signature leaves out may have been changed on the way.";
  }
  const some = shown.length < forms.length ? "Where the secret itself is shown, the" : "The";
  return `**${some} body is not authenticated**: whoever sees one request can send others in ${shortLabel(label)}'s name. Register the URL with https.`;
}

/** Whoever sees one request of such a form can make any other. */
function showsSecret({ scheme }: FormFacts): boolean {
  return (
    scheme.kind === "token" || scheme.kind === "basic" || (scheme.kind === "code" && scheme.code === "microsoft-graph")
  );
}

/** A JWT says itself when it ends. */
const hasOwnTimes = ({ scheme }: FormFacts): boolean => scheme.kind === "code" && scheme.code === "livekit";

/** Requests that somebody recorded can be sent again where nothing, or no bound, says when they were made. */
function replays(forms: readonly FormFacts[]): readonly string[] {
  const untimed = forms.filter((form) => !showsSecret(form) && !hasOwnTimes(form) && form.toleranceSeconds === null);
  if (untimed.length === 0) return [];
  const some = untimed.length < forms.length ? "In some of its forms nothing" : "Nothing";
  const fate = untimed.every(({ scheme }) => scheme.repeats === "none")
    ? "would be recorded again"
    : "is known as a repeat within `DEDUPE_WINDOW_SECONDS`, and recorded again after that";
  return [`${some} bounds how old a request may be: one that somebody kept and sends again ${fate}.`];
}
