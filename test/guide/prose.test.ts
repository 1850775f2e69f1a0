/** Plain sentences as text: what a machine reads is code, and nothing is a mark by accident. */
import { describe, expect, test } from "vitest";
import { anchorOf } from "../../src/guide/blocks.ts";
import { describeHandshake } from "../../src/guide/handshakes.ts";
import { toHtml } from "../../src/guide/html.ts";
import { toMarkdown } from "../../src/guide/markdown.ts";
import { listed, prose, seconds, shortLabel } from "../../src/guide/prose.ts";
import type { Handshake } from "../../src/signature/handshake.ts";

test.each([
  ["Paste this webhook's secret into Secret.", "Paste this webhook's secret into Secret."],
  ["1 to 256 letters, digits, _ and -", "1 to 256 letters, digits, \\_ and -"],
  ["<app secret>:<verify token>, or one of them", "`<app secret>:<verify token>`, or one of them"],
  ["the ARN, arn:aws:sns:<region>:<account>:<topic>", "the ARN, `arn:aws:sns:<region>:<account>:<topic>`"],
  ["with x-hub-signature-256: sha256=<digits>, never", "with `x-hub-signature-256: sha256=<digits>`, never"],
  ["The secret_token of setWebhook.", "The `secret_token` of `setWebhook`."],
  ["POST /2/webhooks: the CRC", "`POST /2/webhooks`: the CRC"],
  ["GET /v1/webhooks/default/secret of its API.", "`GET /v1/webhooks/default/secret` of its API."],
  ["the URL receiveUrl.", "the URL `receiveUrl`."],
  ["whsec_ and base64", "`whsec_` and base64"],
  ["whsec_…, as shown", "`whsec_…`, as shown"],
  ["v1,whsec_ and base64", "`v1,whsec_` and base64"],
  ["lin_wh_…, as shown", "`lin_wh_…`, as shown"],
  ["user:password", "`user:password`"],
  ["fetched from api.sandbox.paypal.com only", "fetched from `api.sandbox.paypal.com` only"],
  ["trello.com/power-ups/admin, the Power-Up", "`trello.com/power-ups/admin`, the Power-Up"],
  ["GitHub, LiveKit and PayPal", "GitHub, LiveKit and PayPal"],
  ["a*b [c] `d` a<b \\", "a\\*b \\[c\\] \\`d\\` a\\<b \\\\"],
])("%j", (sentence, expected) => {
  expect(prose(sentence)).toBe(expected);
});

test("words", () => {
  expect([1, 2, 30, 60, 300, 1_800, 3_600, 90].map(seconds)).toEqual([
    "1 second",
    "2 seconds",
    "30 seconds",
    "1 minute",
    "5 minutes",
    "30 minutes",
    "1 hour",
    "90 seconds",
  ]);
  expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map((phrases) => listed(phrases))).toEqual([
    "",
    "a",
    "a and b",
    "a, b and c",
  ]);
  const labels = ["Stripe", "Adyen, payments", "Meta (Facebook, Instagram, WhatsApp)"];
  expect(labels.map(shortLabel)).toEqual(["Stripe", "Adyen", "Meta"]);
  expect(["Cal.com", "Meta (Facebook, Instagram, WhatsApp)", "AWS SNS"].map(anchorOf)).toEqual([
    "calcom",
    "meta-facebook-instagram-whatsapp",
    "aws-sns",
  ]);
});

const bounds = { charsMax: 9, chars: "token" } as const;
const handshakes: [Handshake, string][] = [
  [
    {
      kind: "echo-query",
      method: "GET",
      signed: false,
      when: [{ from: "query", name: "mode", equals: "on" }],
      parameter: "c",
      verifyTokenParameter: "t",
      ...bounds,
    },
    "A GET whose parameter `mode` is `on` is answered with the value of `c` as plain text, if `t` is the secret's verify token.",
  ],
  [
    {
      kind: "echo-header",
      method: "GET",
      signed: false,
      when: [{ from: "header", name: "x-c" }],
      header: "x-c",
      answerField: "v",
      ...bounds,
    },
    "A GET with the header `x-c` is answered with the header's value as `v` of a JSON object.",
  ],
  [
    {
      kind: "ping",
      method: "POST",
      signed: true,
      when: [
        { from: "body", name: "type", equals: 1 },
        { from: "body", name: "token" },
      ],
      answer: { status: 200, body: "{}" },
    },
    "A signed POST whose field `type` is `1` and which has the field `token` is answered with 200 and `{}`.",
  ],
  [
    { kind: "ping", method: "HEAD", signed: false, when: [], answer: { status: 200, body: "" } },
    "A HEAD is answered with 200.",
  ],
];

test.each(handshakes)("a handshake in words, %#", (handshake, expected) => {
  expect(describeHandshake(handshake)).toBe(expected);
});

describe("blocks", () => {
  const blocks = [
    { kind: "heading", level: 2, text: "A & B" },
    {
      kind: "text",
      text: "**Strong** and *soft*, `a<b`, \\*plain\\*, [label](https://x.example/?a=1&b=2), [no](javascript:alert(1))",
    },
    { kind: "steps", items: [{ text: "First", code: "echo '<&>'" }, { text: "Second" }] },
    { kind: "bullets", items: [{ text: "One" }, { text: "`Two`" }] },
    { kind: "table", head: ["a"], rows: [["[b](#c)"]] },
  ] as const;

  test("as Markdown", () => {
    expect(toMarkdown(blocks)).toBe(
      [
        "## A & B\n",
        "**Strong** and *soft*, `a<b`, \\*plain\\*, [label](https://x.example/?a=1&b=2), [no](javascript:alert(1))\n",
        "1. First\n\n   ```sh\n   echo '<&>'\n   ```\n\n2. Second\n",
        "- One\n- `Two`\n",
        "| a |\n| --- |\n| [b](#c) |\n",
      ].join("\n"),
    );
  });

  test("as HTML, everything escaped and only addresses of the web made links", () => {
    const html = toHtml("<T>", blocks);
    expect(html).toContain("<title>&lt;T&gt;</title>");
    expect(html).toContain('<h2 id="a--b"><a href="#a--b">A &amp; B</a></h2>');
    expect(html).toContain(
      '<p><strong>Strong</strong> and <em>soft</em>, <code>a&lt;b</code>, *plain*, <a href="https://x.example/?a=1&amp;b=2">label</a>, [no](javascript:alert(1))</p>',
    );
    expect(html).toContain("<li>First<pre><code>echo &#39;&lt;&amp;&gt;&#39;</code></pre></li>");
    expect(html).toContain('<tr><td><a href="#c">b</a></td></tr>');
  });
});
