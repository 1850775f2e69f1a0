/** The schemes that data cannot express, by their `code`. */
import { type BoundMethod, bindMethod } from "./method.ts";
import type { VendorCode } from "./scheme.ts";
import { awsSns } from "./vendors/aws-sns.ts";
import { contentful } from "./vendors/contentful.ts";
import { hubspotV1V2 } from "./vendors/hubspot-v1-v2.ts";
import { livekit } from "./vendors/livekit.ts";
import { microsoftGraph } from "./vendors/microsoft-graph.ts";
import { paypal } from "./vendors/paypal.ts";
import { plaid } from "./vendors/plaid.ts";
import { twilioJson } from "./vendors/twilio-json.ts";

export const VENDORS: Readonly<Record<VendorCode, BoundMethod>> = {
  "aws-sns": bindMethod(awsSns),
  contentful: bindMethod(contentful),
  "hubspot-v1-v2": bindMethod(hubspotV1V2),
  livekit: bindMethod(livekit),
  "microsoft-graph": bindMethod(microsoftGraph),
  paypal: bindMethod(paypal),
  plaid: bindMethod(plaid),
  "twilio-json": bindMethod(twilioJson),
};
