/** The built-in source `system`: its events are this service's own, so no request is ever verified as one. */
import type { CompiledSource } from "./compile.ts";
import { compileLookup } from "./lookup.ts";

export const SYSTEM: CompiledSource = {
  name: "system",
  schemes: [
    {
      name: "system",
      kind: "none",
      method: {
        keyKind: "system",
        secretForm: "none",
        places: [],
        needsUrl: false,
        secretProblem: () => "is not taken: events of source system are made here, and nobody sends any",
        prepare: () => undefined,
      },
      body: undefined,
      type: [compileLookup("j:type")],
      id: [compileLookup("j:id")],
      repeats: "none",
      headers: [],
    },
  ],
  exclusive: true,
  pinnedTo: undefined,
  handshakes: [],
  handshakeKey: { decode: "utf8" },
  success: undefined,
  credentialHeaders: [],
};
