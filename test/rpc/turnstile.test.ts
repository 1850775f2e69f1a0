/** How many calls pass in one turn of the event loop, whose they are, and who is refused. */
import { describe, expect, test } from "vitest";
import { Turnstile } from "../../src/rpc/turnstile.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Lets calls come, each named by its lane and a number; `passed` are those that have passed, in order. */
function scene(callsPerTurnMax: number, callsWaitingMax = 100) {
  const turnstile = new Turnstile({ callsPerTurnMax, callsWaitingMax });
  const passed: string[] = [];
  const come = (...calls: string[]) => {
    for (const call of calls) {
      const wait = turnstile.enter(call.charAt(0));
      if (wait) void wait.then(() => passed.push(call));
      else passed.push(call);
    }
  };
  /** What passes now, and in each of the turns that follow. */
  const turns = async (count: number) => {
    const seen = [passed.splice(0).join(" ")];
    for (let n = 0; n < count; n++) {
      await turn();
      seen.push(passed.splice(0).join(" "));
    }
    return seen;
  };
  return { come, turns };
}

describe("what passes at once, and in the turns that follow", () => {
  test.each<[string, string[], string[]]>([
    ["few", ["a1", "a2"], ["a1 a2", "", ""]],
    ["as many as may", ["a1", "a2", "a3"], ["a1 a2 a3", "", ""]],
    ["more of one lane", ["a1", "a2", "a3", "a4", "a5"], ["a1 a2 a3", "a4 a5", ""]],
    ["much more of one lane", ["a1", "a2", "a3", "a4", "a5", "a6", "a7"], ["a1 a2 a3", "a4 a5 a6", "a7"]],
    ["a lane that comes last", ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "b1"], ["a1 a2 a3", "a4 b1 a5", "a6 a7"]],
    ["several lanes", ["a1", "a2", "a3", "a4", "a5", "b1", "b2", "c1"], ["a1 a2 a3", "a4 b1 c1", "a5 b2"]],
  ])("%s", async (_title, calls, expected) => {
    const { come, turns } = scene(3);
    come(...calls);
    expect(await turns(2)).toEqual(expected);
  });

  test("a turn that those who waited leave room in is open to those who come", async () => {
    const { come, turns } = scene(3);
    come("a1", "a2", "a3", "a4");
    expect(await turns(1)).toEqual(["a1 a2 a3", "a4"]);
    come("b1", "b2", "b3");
    expect(await turns(1)).toEqual(["b1 b2", "b3"]);
    await turn();
    come("c1", "c2", "c3", "c4");
    expect(await turns(1)).toEqual(["c1 c2 c3", "c4"]);
  });
});

describe("what waits is bounded", () => {
  const refused = (reason: string) => expect.objectContaining({ reason });

  test("one lane may have half of it, and a call of another still comes in", async () => {
    const { come, turns } = scene(1, 4);
    come("a1", "a2", "a3");
    expect(() => come("a4")).toThrow(refused("TOO_MANY_REQUESTS"));
    come("b1");
    expect(await turns(3)).toEqual(["a1", "a2", "b1", "a3"]);
    come("a5");
  });

  test("with all of it taken, nobody comes in until a turn has passed", async () => {
    const { come, turns } = scene(1, 2);
    come("a1", "a2", "b1");
    expect(() => come("c1")).toThrow(refused("SERVICE_UNAVAILABLE"));
    await turn();
    come("c2");
    expect(await turns(3)).toEqual(["a1 a2", "b1", "c2", ""]);
  });
});
