/** Schemes that data cannot express, by the name that presets give as `code`. */

export const VENDOR_CODES = [
  /** AWS SNS: fields of the body, signed by a certificate that the message names. */
  "aws-sns",
  /** Contentful: the headers that are signed are listed in a header. */
  "contentful",
  /** HubSpot v1 and v2: SHA-256 of secret and content, not HMAC. */
  "hubspot-v1-v2",
  /** LiveKit: a JWT (HS256) with the hash of the body. */
  "livekit",
  /** Microsoft Graph: `clientState` of every item and, for rich notifications, the JWTs of `validationTokens`. */
  "microsoft-graph",
  /** PayPal: CRC-32 of the body, signed by a certificate that a header names. */
  "paypal",
  /** Plaid: a JWT (ES256) with the hash of the body. */
  "plaid",
  /** Twilio's JSON form: the hash of the body stands in the URL, which is signed. */
  "twilio-json",
] as const;

export type VendorCode = (typeof VENDOR_CODES)[number];
