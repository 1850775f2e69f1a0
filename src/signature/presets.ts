/** The sources as data, from the groups in `presets/`. A name is a key of this table; `source.ts` looks names up. */
import type { Preset } from "./preset.ts";
import { CODE_HOSTING } from "./presets/code-hosting.ts";
import { GENERIC } from "./presets/generic.ts";
import { PAYMENTS } from "./presets/payments.ts";

export const PRESETS: Readonly<Record<string, Preset>> = { ...GENERIC, ...PAYMENTS, ...CODE_HOSTING };
