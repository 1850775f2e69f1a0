/** Handshakes in words: what is asked, and what is answered. Names of theirs stand in backquotes. */
import type { Condition, Handshake } from "../signature/handshake.ts";
import { code, listed } from "./prose.ts";

const CAPTURE_PATH = "/api/v1/webhooks/{id}/capture";

/** One to three sentences. */
export function describeHandshake(handshake: Handshake): string {
  const request = `A ${handshake.signed ? "signed " : ""}${handshake.method}${conditions(handshake.when)}`;
  switch (handshake.kind) {
    case "echo-query": {
      const { parameter, verifyTokenParameter: token } = handshake;
      const proof = token === undefined ? "" : `, if ${code(token)} is the secret's verify token`;
      return `${request} is answered with the value of ${code(parameter)} as plain text${proof}.`;
    }
    case "echo-json":
      return `${request} is answered with its ${code(handshake.field)} as plain text.`;
    case "echo-header":
      return `${request} is answered with the header's value as ${code(handshake.answerField)} of a JSON object.`;
    case "hmac-answer": {
      const { token, digestField, tokenField } = handshake;
      const both = tokenField === undefined ? "" : ` and the token itself as ${code(tokenField)}`;
      return `${request} is answered with the HMAC-SHA256 of ${code(token.name)} under the secret as ${code(digestField)}${both}. Only short tokens are answered, none that could be an event.`;
    }
    case "capture-secret": {
      const echo = handshake.echoHeader === undefined ? "" : ", and is answered with the same header";
      return `${request} brings the secret${echo}. It is taken only while you have opened a window for it (${code(`POST ${CAPTURE_PATH}`)}), one in each window, and counts once you confirm it (${code(`POST ${CAPTURE_PATH}/confirm`)}), in place of the secret before.`;
    }
    case "ping": {
      const { status, body } = handshake.answer;
      return `${request} is answered with ${status}${body ? ` and ${code(body)}` : ""}.`;
    }
    case "confirm-url":
      return `${request} is confirmed by fetching the URL in ${code(handshake.field)}, at the provider's own hosts only.`;
  }
}

function conditions(when: readonly Condition[]): string {
  const equal = when.flatMap((condition) =>
    condition.equals === undefined ? [] : `${nameOf(condition)} is ${code(String(condition.equals))}`,
  );
  const there = when.flatMap((condition) => (condition.equals === undefined ? `the ${nameOf(condition)}` : []));
  if (there.length === 0) return equal.length === 0 ? "" : ` whose ${listed(equal)}`;
  return equal.length === 0 ? ` with ${listed(there)}` : ` whose ${listed(equal)} and which has ${listed(there)}`;
}

function nameOf({ from, name }: Condition): string {
  return `${{ query: "parameter ", header: "header ", body: "field " }[from]}${code(name)}`;
}
