/** Documents and files. */
import type { Preset } from "../preset.ts";

export const FILES = {
  docusign: {
    label: "Docusign",
    docUrl: "https://developers.docusign.com/platform/webhooks/connect/hmac/",
    schemes: [
      {
        kind: "hmac",
        name: "docusign",
        sig: {
          name: "x-docusign-signature-1",
          extra: [2, 3, 4, 5, 6, 7, 8, 9, 10].map((number) => `x-docusign-signature-${number}`),
        },
        enc: "base64",
        type: ["j:event"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: { from: "provider", form: "the Connect key, as shown once", where: "Settings, Connect, Connect keys." },
    setup: [
      "In the settings under Connect add a configuration with the URL {receiveUrl}, data format JSON, and switch HMAC on.",
      "Add a Connect key and set it, shown once, as this webhook's secret.",
    ],
    ackSecondsMax: 100,
  },
  dropbox: {
    label: "Dropbox",
    docUrl: "https://www.dropbox.com/developers/reference/webhooks",
    schemes: [
      {
        kind: "hmac",
        name: "dropbox",
        sig: { name: "x-dropbox-signature" },
        type: ["k:list_folder"],
        id: [],
        repeats: "none",
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "the app secret, as shown",
      where: "App Console, the app, Settings, App secret.",
    },
    setup: [
      "Set the app secret as this webhook's secret.",
      "In the App Console under Webhooks add {receiveUrl}: the challenge is answered here.",
    ],
    handshakes: [
      {
        kind: "echo-query",
        method: "GET",
        signed: false,
        when: [{ from: "query", name: "challenge" }],
        parameter: "challenge",
        chars: "token",
        charsMax: 256,
      },
    ],
    ackSecondsMax: 10,
  },
  /** Each request is signed with both keys. */
  box: {
    label: "Box",
    docUrl: "https://developer.box.com/guides/webhooks/v2/signatures-v2/",
    schemes: [
      {
        kind: "hmac",
        name: "box",
        sig: { name: "box-signature-primary", extra: ["box-signature-secondary"] },
        enc: "base64",
        content: "{body}{ts}",
        ts: { from: "header", name: "box-delivery-timestamp", unit: "iso", tol: 600, future: 0 },
        key: {
          decode: "utf8",
          parts: [
            { name: "primary key", use: "key" },
            { name: "secondary key", use: "key", optional: true },
          ],
        },
        type: ["j:trigger"],
        id: ["j:id"],
        repeats: "signed-id",
        headers: { "box-signature-version": "1", "box-signature-algorithm": "HmacSHA256" },
      },
    ],
    bodyAuthenticated: true,
    secret: {
      from: "provider",
      form: "<primary key>:<secondary key>, or one of them",
      where: "Developer Console, the app, Webhooks, Manage signature keys.",
    },
    setup: [
      "In the Developer Console under Webhooks generate both signature keys and set them, joined by a colon, as this webhook's secret.",
      "Create a webhook of version 2 with the URL {receiveUrl}.",
    ],
    ackSecondsMax: 30,
    notes: ["With both keys here, one after the other can be replaced at Box without a refusal."],
  },
} satisfies Record<string, Preset>;
