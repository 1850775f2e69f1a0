/**
 * Loaded into a service with `--import`: its wall clock is off by what the parent process says, in milliseconds.
 * Timers go on as they are, as they do when a machine's clock is set.
 */
let offsetMs = 0;
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...values: [] | ConstructorParameters<typeof Date>) {
    if (values.length === 0) super(RealDate.now() + offsetMs);
    else super(...values);
  }

  static override now(): number {
    return RealDate.now() + offsetMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;
process.on("message", (next: number) => {
  offsetMs = next;
  process.send?.(next);
});
// The parent's channel must not keep the service from ending.
process.channel?.unref();
