import { createHash } from "node:crypto";
import type { EventIdentity } from "../signature/event-identity.ts";
import type { ReceiveRow } from "../store/sql/receive.ts";
import { dedupeKey } from "./event-recorder.ts";

/** The keys by which repeats of this event are found (DESIGN §5, Duplicates). */
export function repeatKeys(
  { id, type, repeats, content }: EventIdentity,
  body: Buffer,
): Pick<ReceiveRow, "repeatKey" | "bodyHash" | "reuseKey"> {
  const none = { repeatKey: null, bodyHash: null, reuseKey: null };
  const idKey = id === null ? null : dedupeKey("id", id);
  switch (repeats) {
    case "none":
      return none;
    case "signed-id":
      return { ...none, repeatKey: idKey, bodyHash: idKey && hash128(body) };
    case "restamped-id":
      return { ...none, repeatKey: idKey };
    case "unsigned-id":
      return { ...none, repeatKey: dedupeKey("body", ...content), reuseKey: idKey };
    case "unsigned-id-and-type":
      return { ...none, repeatKey: dedupeKey("body", `${type}\0`, ...content), reuseKey: idKey };
    case "unsigned-id-and-body":
      return { ...none, repeatKey: idKey && dedupeKey("id+body", `${id}\0`, body), reuseKey: idKey };
  }
}

const hash128 = (body: Buffer): string => createHash("sha256").update(body).digest("hex").slice(0, 32);
