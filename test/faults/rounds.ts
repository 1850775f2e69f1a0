/** Plays rounds of one kind of fault: load, fault, load again, rest, verdict. One seed makes one plan. */
import type { Load } from "./load.ts";
import { Random } from "./random.ts";
import { Scene, type SceneOptions } from "./scene.ts";
import { type Figures, judge } from "./verdict.ts";

export interface Kind {
  readonly name: string;
  readonly scene: SceneOptions;
  /** Whether this machine lets it be made; true where it is left out. */
  readonly isPossible?: boolean;
  /**
   * Makes the faults of one round under load, and takes their causes away again; resolves to what it saw that must
   * not be.
   */
  readonly inflict: (scene: Scene, load: Load, random: Random) => Promise<string[]>;
}

export interface Report {
  readonly kind: string;
  readonly rounds: number;
  readonly figures: Figures;
  readonly ms: number;
  /** What did not hold, by the seed of its round. */
  readonly failures: readonly { readonly seed: number; readonly problems: readonly string[] }[];
}

export interface RoundsOptions {
  readonly seed: number;
  readonly rounds: number;
  /** URL of a PostgreSQL server where databases may be made. */
  readonly server: string;
  /** Told of each round. */
  readonly onRound?: (seed: number, figures: Figures, problems: readonly string[], ms: number) => void;
}

const NOTHING: Figures = { events: 0, attempts: 0, interrupted: 0, duplicates: 0 };

/** Round n has the seed `seed + n - 1`, so that any one can be played again by itself. */
export async function playRounds(kind: Kind, { seed, rounds, server, onRound }: RoundsOptions): Promise<Report> {
  const startMs = performance.now();
  const failures: { seed: number; problems: readonly string[] }[] = [];
  let figures = NOTHING;
  let scene: Scene | undefined;
  try {
    for (let n = 0; n < rounds; n++) {
      scene ??= await Scene.start(kind.scene, server);
      const roundMs = performance.now();
      const round = await playRound(scene, kind, seed + n);
      figures = add(figures, round.figures);
      onRound?.(seed + n, round.figures, round.problems, Math.round(performance.now() - roundMs));
      if (round.problems.length === 0) continue;
      failures.push({ seed: seed + n, problems: [...round.problems, scene.logs()] });
      // What a failed round has left is no place for the next.
      await scene.remove();
      scene = undefined;
    }
  } finally {
    await scene?.remove();
  }
  return { kind: kind.name, rounds, figures, ms: performance.now() - startMs, failures };
}

async function playRound(scene: Scene, kind: Kind, seed: number): Promise<{ figures: Figures; problems: string[] }> {
  const random = new Random(seed, kind.name);
  const { load, webhook } = await scene.startLoad(seed, random);
  try {
    await load.acknowledges(random.between(10, 120));
    const problems = await kind.inflict(scene, load, random);
    await load.acknowledges(random.between(20, 60));
    await load.stop();
    await scene.settled(webhook);
    problems.push(...(await scene.health()));
    const verdict = await judge(scene.pool, {
      webhookId: webhook.id,
      acknowledged: load.acknowledged,
      statuses: load.statuses,
      arrivals: scene.arrivals.of(webhook.id),
    });
    problems.push(...verdict.problems);
    if (problems.length === 0) await scene.clear(webhook);
    return { figures: verdict.figures, problems };
  } catch (error) {
    return { figures: NOTHING, problems: [error instanceof Error ? (error.stack ?? error.message) : String(error)] };
  } finally {
    await load.stop();
  }
}

function add(a: Figures, b: Figures): Figures {
  return {
    events: a.events + b.events,
    attempts: a.attempts + b.attempts,
    interrupted: a.interrupted + b.interrupted,
    duplicates: a.duplicates + b.duplicates,
  };
}
