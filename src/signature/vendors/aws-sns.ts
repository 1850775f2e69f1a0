/**
 * AWS SNS ("Verifying the signatures of Amazon SNS messages"): fields of the JSON body, signed by a certificate that the
 * body names. Only the topic that the webhook's secret names counts, and only a certificate of its region's SNS host.
 */
import { verify } from "node:crypto";
import { isValidAt, readCertificates, rsaKeyOf } from "../certificate.ts";
import { textProblem } from "../key.ts";
import type { Method } from "../method.ts";
import { isKey, type NeededKey, resolveKey } from "../needed-key.ts";
import { compilePlace, placeText } from "../place.ts";
import { bodyField, type InboundRequest } from "../request.ts";
import { decodeSignature } from "../signature-list.ts";
import { type Refusal, refusal } from "../verdict.ts";

const SIGNATURE = compilePlace({ from: "body", name: "Signature" });
const FORMAT = { encoding: "base64", bytesMin: 128, bytesMax: 1_024, hexCase: "lower" } as const;
const TOPIC = /^arn:aws(?:-cn|-us-gov)?:sns:[a-z0-9-]{3,32}:\d{12}:[A-Za-z0-9_-]{1,256}(?:\.fifo)?$/;
const FORM = "the topic's ARN, arn:aws:sns:<region>:<account>:<topic>";
const CERTIFICATE_PATH = /^\/SimpleNotificationService-[0-9A-Za-z]{8,128}\.pem$/;

/** The fields that are signed, in this order; Subject only where it is there. */
const NOTIFICATION = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
const CONFIRMATION = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
const SIGNED_FIELDS: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["Notification", NOTIFICATION],
  ["SubscriptionConfirmation", CONFIRMATION],
  ["UnsubscribeConfirmation", CONFIRMATION],
]);
const HASHES: ReadonlyMap<unknown, string> = new Map([
  ["1", "sha1"],
  ["2", "sha256"],
]);

export const awsSns: Method<string> = {
  keyKind: "aws-sns",
  secretForm: FORM,
  places: [SIGNATURE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text) ?? (TOPIC.test(text) ? undefined : `must be ${FORM}`);
    return problem === undefined ? { ok: true, key: text } : { ok: false, problem };
  },
  judge(keys, request, { fetched }) {
    const signature = decodeSignature(FORMAT, placeText(SIGNATURE, request) ?? "");
    if (signature === undefined) return refusal("malformed_signature", "Signature holds no RSA signature");
    const topic = keys.find(({ key }) => key === bodyField(request, ["TopicArn"]));
    if (topic === undefined) return refusal("signature", "TopicArn is not the topic that the webhook's secret names");
    const hash = HASHES.get(bodyField(request, ["SignatureVersion"]));
    if (hash === undefined) return refusal("malformed_field", "SignatureVersion must be 1 or 2");
    const content = stringToSign(request);
    if (typeof content !== "string") return content;
    const needed = neededCertificate(topic.key, bodyField(request, ["SigningCertURL"]));
    if ("check" in needed) return needed;
    const key = resolveKey(needed, "SigningCertURL", fetched);
    if (!isKey(key)) return key;
    if (verify(hash, Buffer.from(content), key, signature)) return topic.index;
    return refusal("signature", "the signature does not match: content changed on the way");
  },
};

/** Name and value of each signed field, a line each. */
function stringToSign(request: InboundRequest): string | Refusal {
  const fields = SIGNED_FIELDS.get(bodyField(request, ["Type"]));
  if (fields === undefined) return refusal("malformed_field", "Type is none that SNS signs");
  let text = "";
  for (const name of fields) {
    const value = bodyField(request, [name]);
    if (name === "Subject" && (value === undefined || value === null)) continue;
    if (typeof value !== "string") return refusal("missing_field", `${name} is missing`);
    // Only these may hold line breaks, which otherwise could shift text from field to field.
    if (value.includes("\n") && name !== "Message") return refusal("malformed_field", `${name} must be one line`);
    text += `${name}\n${value}\n`;
  }
  return text;
}

function neededCertificate(topic: string, location: unknown): NeededKey | Refusal {
  const [, partition, , region] = topic.split(":");
  const host = `sns.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}`;
  const url = typeof location === "string" ? URL.parse(location) : null;
  if (url === null || url.href !== `https://${host}${url.pathname}` || !CERTIFICATE_PATH.test(url.pathname)) {
    return refusal("malformed_field", `SigningCertURL is no certificate at ${host}`);
  }
  return {
    keyId: url.href,
    url: url.href,
    read(answer, { nowMs }) {
      const certificate = readCertificates(answer)?.[0];
      return certificate && isValidAt(certificate, nowMs) ? rsaKeyOf(certificate) : undefined;
    },
  };
}
