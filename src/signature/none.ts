/** No verification: any request is taken, and its event is marked as unverified. */
import { generateSecret, textProblem } from "./key.ts";
import type { BoundMethod } from "./method.ts";

export const noMethod: BoundMethod = {
  keyKind: "none",
  secretForm: "any text, which is not used",
  places: [],
  needsUrl: false,
  secretProblem: (text) => (text === "" ? undefined : textProblem(text)),
  generate: generateSecret,
  prepare: () => () => 0,
  sign: () => {},
};
