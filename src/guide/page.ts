/** The page of all setup guides: what they have in common, a table of the sources, and one guide each. */
import { CATALOGUE, type SourceFacts } from "../signature/catalogue.ts";
import { anchorOf, type Block, heading, text } from "./blocks.ts";
import { guideOf } from "./guide.ts";
import { proofInShort } from "./proof.ts";
import { code, prose } from "./prose.ts";

/** Sources that belong to no provider stand first. */
const GENERAL = ["custom", "standardwebhooks", "standardwebhooks-v1a"];

/** `origin` is where the reader's service is found; `apiKey` is how a shell there tells the key. */
export function providersPage({ origin, apiKey }: { origin: string; apiKey: string }): readonly Block[] {
  const general = GENERAL.flatMap((name) => CATALOGUE.find((facts) => facts.name === name) ?? []);
  const providers = CATALOGUE.filter(({ name }) => !GENERAL.includes(name)).sort((a, b) =>
    a.preset.label.localeCompare(b.preset.label, "en"),
  );
  return [
    heading(1, "Providers"),
    text(
      `How to receive webhooks from ${providers.length} providers, step by step, and from senders that nobody listed. Each guide says what you need, what is verified, and what that is worth.`,
    ),
    heading(2, "Before you begin"),
    text(
      "The commands are for a shell in which these are set. `ID` is the webhook's `id`, from the answer that creates it.",
    ),
    { kind: "code", text: shellSettings(origin, apiKey) },
    {
      kind: "bullets",
      items: [
        "`receiveUrl` in the answer is the URL to register at the provider, exactly as it stands there. Set `PUBLIC_URL` to the origin that the internet knows this service by; providers want https.",
        'To forward events, add `"url":"https://…"` to the command that creates the webhook, or `PATCH` it in later.',
        "A secret is shown once, by the answer that issues it. Lost, it is replaced: `POST /api/v1/webhooks/$ID/rotate` makes another or takes the provider's; `gracePeriodSeconds` keeps the old one beside it.",
        "`events` of a webhook lists the types that are forwarded. A type or an id of several parts has full stops between them, as in `issues.opened`; `issues.*` is whatever lies below.",
        "A request that is refused says why in its 401. `POST /api/v1/webhooks/verify` judges a captured one, against a webhook or against a source and a secret.",
        "The same as JSON, for programs: `GET /api/v1/sources`.",
      ].map((item) => ({ text: item })),
    },
    heading(2, "All sources"),
    text(
      "*Body* says whether the proof covers the whole body, *age* how old a request may be, *URL* whether `PUBLIC_URL` must be set because the URL is signed, *handshake* whether the provider tries the URL first, which is answered by itself.",
    ),
    { kind: "table", head: HEAD, rows: [...general, ...providers].map(rowOf) },
    heading(2, "Senders that nobody listed"),
    ...general.flatMap(guideOf),
    text(
      "Any other way to sign is described by the webhook itself, in `verification`: a header, an algorithm, an encoding, what is signed, a timestamp, where type and id stand; or a token, Basic, a public key. `verification.proto` says every setting. An example:",
    ),
    { kind: "code", text: DESCRIBED },
    heading(2, "Guides"),
    ...providers.flatMap(guideOf),
  ];
}

function shellSettings(origin: string, apiKey: string): string {
  return [
    `API=${origin}/api/v1`,
    `AUTH="authorization: Bearer ${apiKey}"`,
    "JSON='content-type: application/json'",
  ].join("\n");
}

const DESCRIBED = `curl -s $API/webhooks -H "$AUTH" -H "$JSON" -d '{"name":"Acme","source":"acme","secret":"a-shared-secret",
  "verification":{"scheme":"hmac","header":"x-acme-signature","prefix":"sha256=","content":"{ts}.{body}",
  "timestamp":{"header":"x-acme-time","unit":"ms"},"eventType":["h:x-acme-event"],"eventId":["j:id"]}}'`;

function briefly(seconds: number | null): string {
  if (seconds === null) return "–";
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}

const HEAD = ["provider", "source", "proof", "body", "age", "URL", "handshake"];

function rowOf({ name, preset, forms, publicUrlRequired }: SourceFacts): readonly string[] {
  const bounds = [...new Set(forms.map(({ toleranceSeconds }) => briefly(toleranceSeconds)))];
  return [
    `[${prose(preset.label)}](#${anchorOf(preset.label)})`,
    code(name),
    [...new Set(forms.map(proofInShort))].join(" or "),
    preset.bodyAuthenticated ? "yes" : "no",
    bounds.join(" or "),
    publicUrlRequired ? "yes" : "–",
    preset.handshakes === undefined ? "–" : "yes",
  ];
}
