/** Times as messages. */
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** Written out, because the library's own way costs several times as much, and lists are full of times. */
export function timestamp(date: Date): Timestamp {
  const ms = date.getTime();
  const seconds = Math.floor(ms / 1_000);
  return {
    $typeName: TimestampSchema.typeName,
    seconds: BigInt(seconds),
    nanos: (ms - seconds * 1_000) * 1_000_000,
  };
}
