/**
 * PayPal (developer.paypal.com, "Webhooks", self verification): RSA-SHA256 of transmission id, time, webhook id and the
 * CRC-32 of the body, by a certificate that a header names. Only certificates at PayPal's own host count, whose chain
 * ends at a public root and whose name is that of PayPal's signer. The webhook's secret is the webhook id.
 */
import { verify } from "node:crypto";
import { crc32 } from "node:zlib";
import { commonName, isTrusted, readCertificates, rsaKeyOf } from "../certificate.ts";
import { textProblem } from "../key.ts";
import type { Method } from "../method.ts";
import { isKey, type NeededKey, resolveKey } from "../needed-key.ts";
import { compilePlace, placeText } from "../place.ts";
import type { InboundRequest } from "../request.ts";
import { decodeSignature } from "../signature-list.ts";
import { type Refusal, refusal } from "../verdict.ts";

const SIGNATURE = compilePlace({ name: "paypal-transmission-sig" });
const FORMAT = { encoding: "base64", bytesMin: 128, bytesMax: 1_024, hexCase: "lower" } as const;
const CERTIFICATE_URL = /^https:\/\/api\.(sandbox\.)?paypal\.com\/v1\/notifications\/certs\/CERT-[0-9a-f-]{8,64}$/;
const TRANSMISSION_ID = /^[0-9A-Za-z-]{8,64}$/;
const TRANSMISSION_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/;
const WEBHOOK_ID = /^[0-9A-Za-z]{8,64}$/;
const FORM = "the webhook id, 8 to 64 letters and digits";

export const paypal: Method<string> = {
  keyKind: "paypal",
  secretForm: FORM,
  places: [SIGNATURE],
  needsUrl: false,
  readKey(text) {
    const problem = textProblem(text) ?? (WEBHOOK_ID.test(text) ? undefined : `must be ${FORM}`);
    return problem === undefined ? { ok: true, key: text } : { ok: false, problem };
  },
  judge(keys, request, { fetched }) {
    const signature = decodeSignature(FORMAT, placeText(SIGNATURE, request) ?? "");
    if (signature === undefined) return refusal("malformed_signature", `${SIGNATURE.name} holds no RSA signature`);
    const head = readHead(request);
    if ("check" in head) return head;
    const key = resolveKey(neededCertificate(head.url, head.sandbox), "paypal-cert-url", fetched);
    if (!isKey(key)) return key;
    const crc = crc32(request.body);
    const found = keys.find(({ key: webhookId }) =>
      verify("sha256", Buffer.from(`${head.id}|${head.time}|${webhookId}|${crc}`), key, signature),
    );
    const advice = "another webhook id, or content changed on the way (the exact bytes count)";
    return found?.index ?? refusal("signature", `the signature does not match: ${advice}`);
  },
};

interface Head {
  readonly id: string;
  readonly time: string;
  readonly url: string;
  readonly sandbox: boolean;
}

function readHead({ header }: InboundRequest): Head | Refusal {
  const [id, time, url] = ["paypal-transmission-id", "paypal-transmission-time", "paypal-cert-url"].map(
    (name) => header(name) ?? "",
  ) as [string, string, string];
  const algorithm = header("paypal-auth-algo") ?? "SHA256withRSA";
  if (algorithm !== "SHA256withRSA") return refusal("malformed_field", "paypal-auth-algo must be SHA256withRSA");
  if (!TRANSMISSION_ID.test(id)) return refusal("malformed_field", "paypal-transmission-id is missing or malformed");
  if (!TRANSMISSION_TIME.test(time)) {
    return refusal("malformed_field", "paypal-transmission-time must be an RFC 3339 time in UTC");
  }
  const match = CERTIFICATE_URL.exec(url);
  if (match === null) return refusal("malformed_field", "paypal-cert-url is no certificate of PayPal's API hosts");
  return { id, time, url, sandbox: match[1] !== undefined };
}

function neededCertificate(url: string, sandbox: boolean): NeededKey {
  return {
    keyId: url,
    url,
    read(answer, trust) {
      const chain = readCertificates(answer);
      const name = `messageverificationcerts.${sandbox ? "sandbox." : ""}paypal.com`;
      if (chain === undefined || commonName(chain[0]) !== name || !isTrusted(chain, trust)) return undefined;
      return rsaKeyOf(chain[0]);
    },
  };
}
