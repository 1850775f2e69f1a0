/** The sources as data, from the groups in `presets/`. A name is a key of this table; `source.ts` looks names up. */
import type { Preset } from "./preset.ts";
import { CODE_HOSTING } from "./presets/code-hosting.ts";
import { COMMERCE } from "./presets/commerce.ts";
import { COMMUNICATIONS } from "./presets/communications.ts";
import { CUSTOMERS } from "./presets/customers.ts";
import { FILES } from "./presets/files.ts";
import { GENERIC } from "./presets/generic.ts";
import { MESSAGING } from "./presets/messaging.ts";
import { OPERATIONS } from "./presets/operations.ts";
import { PAYMENTS } from "./presets/payments.ts";
import { STANDARD_WEBHOOKS } from "./presets/standard-webhooks.ts";
import { WORK } from "./presets/work.ts";

export const PRESETS: Readonly<Record<string, Preset>> = {
  ...GENERIC,
  ...STANDARD_WEBHOOKS,
  ...PAYMENTS,
  ...COMMERCE,
  ...CODE_HOSTING,
  ...OPERATIONS,
  ...MESSAGING,
  ...COMMUNICATIONS,
  ...WORK,
  ...FILES,
  ...CUSTOMERS,
};
