/** The setup guide of one source. */
import type { SourceFacts } from "../signature/catalogue.ts";
import { type Block, heading, text } from "./blocks.ts";
import { describeHandshake } from "./handshakes.ts";
import { limitsOf } from "./limits.ts";
import { namesOf } from "./names.ts";
import { proofOf } from "./proof.ts";
import { code, listed, prose, seconds, sentence, shortLabel } from "./prose.ts";
import { stepsOf } from "./steps.ts";

export function guideOf(facts: SourceFacts): readonly Block[] {
  const { name, preset, forms } = facts;
  const handshakes = (preset.handshakes ?? []).map(describeHandshake);
  const answer = answerOf(preset);
  return [
    heading(3, preset.label),
    text(titleLine(name, preset)),
    text(needOf(preset)),
    { kind: "steps", items: stepsOf(facts) },
    ...verified(facts),
    ...named("What events are called", namesOf(forms)),
    ...(handshakes.length > 0 ? [text(`**Handshake.** ${handshakes.join(" ")}`)] : []),
    ...(answer === "" ? [] : [text(`**Answer.** ${answer}`)]),
    ...named("Limits and hints", limitsOf(facts)),
  ];
}

/** A paragraph with its name in front, or several as a list. */
function named(name: string, paragraphs: readonly string[]): readonly Block[] {
  const [first, second] = paragraphs;
  if (first === undefined) return [];
  if (second === undefined) return [text(`**${name}.** ${first}`)];
  return [text(`**${name}**`), { kind: "bullets", items: paragraphs.map((paragraph) => ({ text: paragraph })) }];
}

function titleLine(name: string, { aliases = [], docUrl, label }: SourceFacts["preset"]): string {
  const second = aliases.length === 0 ? "" : ` (or ${listed(aliases.map(code), "or")})`;
  const owner = shortLabel(label);
  const docs = docUrl === null ? "" : ` · [${owner}${owner.endsWith("s") ? "'" : "'s"} documentation](${docUrl})`;
  return `Source ${code(name)}${second}${docs}`;
}

function needOf({ secret, label, setup }: SourceFacts["preset"]): string {
  const form = prose(secret.form);
  const where = prose(secret.where);
  switch (secret.from) {
    case "provider":
      return `**You need** the secret that ${providerOf(label)} makes: ${form}. *Where:* ${where}`;
    case "you": {
      const isBrought = setup.some((step) => step.includes("as this webhook's secret"));
      const advice = isBrought ? "" : " The one that is generated will do.";
      return `**You need** a secret: ${form}.${advice} *Where it goes:* ${where}`;
    }
    case "known":
      return `**You need** no secret, but ${form}, which takes its place. *Where:* ${where}`;
  }
}

/** Standard Webhooks and the like are no providers. */
const providerOf = (label: string): string => (/^(?:Custom|Standard)/.test(label) ? "the sender" : shortLabel(label));

function verified({ preset, forms }: SourceFacts): readonly Block[] {
  const proofs = forms.map((form) => sentence(proofOf(form)));
  const areChosenByBody = forms.some(({ scheme }) => scheme.body !== undefined);
  if (proofs.length < 2 || areChosenByBody) return named("What is verified", [proofs.join(" ")]);
  const lead =
    preset.forms === "preferred"
      ? "The first of these forms that a request has and the secret fits"
      : "Exactly one of these forms";
  const pins = listed(
    forms.map(({ scheme }) => code(scheme.name)),
    "or",
  );
  return [
    text(`**What is verified.** ${lead}; ${code("verification.scheme")} (${pins}) pins the webhook to one:`),
    { kind: "bullets", items: proofs.map((proof) => ({ text: proof })) },
  ];
}

/** Empty where there is nothing special about it. */
function answerOf({ success, ackSecondsMax: ack, label }: SourceFacts["preset"]): string {
  if (success === undefined && ack === null) return "";
  const wait = ack === null ? "" : `; ${providerOf(label)} waits for ${seconds(ack)}`;
  const when = `as soon as the event is committed, before any delivery${wait}.`;
  if (success?.body === undefined) {
    const receipt = success?.status === 204 ? "without a body" : "with our receipt";
    return `${success?.status ?? 200} ${receipt}, ${when}`;
  }
  const body = success.body === "" ? "an empty body" : code(success.body);
  const others = success.forForms ? " to a form, with our receipt to anything else" : "";
  return `${success.status} with ${body}${others}, ${when}`;
}
