/** How a source is set up and tried, step by step: at the provider, and here with curl. */
import type { SourceFacts } from "../signature/catalogue.ts";
import { canSign } from "../signature/sign.ts";
import { findSource } from "../signature/source.ts";
import type { Item } from "./blocks.ts";
import { prose, shortLabel } from "./prose.ts";

/** Says that the provider's secret is set here. */
const BRINGS = /as this webhook's secret/;

/**
 * The provider's steps with ours among them: a secret that is known beforehand comes with the webhook, one that the
 * provider makes for the URL is rotated in when it is there, or confirmed where the provider sends it.
 */
export function stepsOf(facts: SourceFacts): readonly Item[] {
  const { setup, secret, handshakes = [] } = facts.preset;
  const steps = setup.map((step): Item => ({ text: prose(step.replaceAll("{receiveUrl}", "receiveUrl")) }));
  const brings = setup.findIndex((step) => BRINGS.test(step));
  const registers = setup.findIndex((step) => step.includes("{receiveUrl}"));
  const value = placeholder(secret.form);
  if (brings === 0 && registers > 0) {
    const [first, ...rest] = steps;
    const create = `${first?.text.replace(/\.$/, ", when you create it.")} The answer holds its \`receiveUrl\`.`;
    return [{ text: create, code: createCommand(facts, value) }, ...rest, tryOut(facts)];
  }
  const shown = secret.from === "you" ? ", `receiveUrl` and `secret`, which is shown only here" : " and `receiveUrl`";
  const create = { text: `Create the webhook here. The answer holds its \`id\`${shown}.`, code: createCommand(facts) };
  const isCaptured = handshakes.some(({ kind }) => kind === "capture-secret");
  const bring = (step: Item): Item =>
    isCaptured ? { text: `${step.text} ${CONFIRM.text}`, code: CONFIRM.code } : { ...step, code: rotateCommand(value) };
  const withCommands = steps.map((step, index) => (index === brings ? bring(step) : step));
  return [create, ...(isCaptured ? [OPEN_WINDOW] : []), ...withCommands, tryOut(facts)];
}

/** What a handshake brings is taken only while it is waited for. */
const OPEN_WINDOW: Item = {
  text: "Open a window of ten minutes, in which the secret is taken that is sent.",
  code: `curl -s $API/webhooks/$ID/capture -H "$AUTH" -H "$JSON" -d '{}'`,
};
const CONFIRM = {
  text: "The first command says from which address a secret came; the second puts it in force and shows it.",
  code: [
    `curl -s $API/webhooks/$ID/capture -H "$AUTH"`,
    `curl -s $API/webhooks/$ID/capture/confirm -H "$AUTH" -H "$JSON" -d '{}'`,
  ].join("\n"),
};

function tryOut({ name, preset }: SourceFacts): Item {
  const provider = shortLabel(preset.label);
  const text = canSign(findSource(name))
    ? "Try it: an event, signed in the same way, goes through the same checks."
    : `Try it. Only ${provider} itself can sign, so this event's scheme is \`synthetic\`; have ${provider} send one to see its signature verified.`;
  return { text, code: `curl -s $API/webhooks/test -H "$AUTH" -H "$JSON" -d '{"webhookId":"'$ID'"}'` };
}

function createCommand({ name, preset }: SourceFacts, secret?: string): string {
  const fields = { name: shortLabel(preset.label), source: name, ...(secret === undefined ? {} : { secret }) };
  return `curl -s $API/webhooks -H "$AUTH" -H "$JSON" -d '${JSON.stringify(fields)}'`;
}

function rotateCommand(secret: string): string {
  return `curl -s $API/webhooks/$ID/rotate -H "$AUTH" -H "$JSON" -d '${JSON.stringify({ secret })}'`;
}

/** What stands for the secret in a command: its form, where that has parts. */
function placeholder(form: string): string {
  return /(?:[\w:]*<[^<>]+>)+/.exec(form)?.[0] ?? /\buser:password\b/.exec(form)?.[0] ?? "<secret>";
}
