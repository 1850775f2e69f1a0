/** A well-behaved client: one keep-alive connection that asks one thing after the other, until it is told to stop. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";

export interface GoodRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly status: number;
}

export interface GoodArgs {
  readonly port: number;
  readonly requests: readonly GoodRequest[];
}

export interface GoodReport {
  /** Milliseconds of each answer, in the order in which they came. */
  readonly latenciesMs: number[];
  readonly failures: string[];
}

/** Sends "ready" after the first round; goes on until any further message. */
export async function beGood({ port, requests }: GoodArgs): Promise<GoodReport> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const report: GoodReport = { latenciesMs: [], failures: [] };
  let stopped = false;
  process.once("message", () => {
    stopped = true;
  });
  for (let round = 0; round === 0 || !stopped; round += 1) {
    for (const good of requests) await askOnce(port, agent, good, report);
    if (round === 0) process.send?.("ready");
  }
  agent.destroy();
  return report;
}

async function askOnce(port: number, agent: Agent, good: GoodRequest, report: GoodReport): Promise<void> {
  const { method, path, headers = {}, body, status } = good;
  const startMs = performance.now();
  try {
    const sent = request({ host: "127.0.0.1", port, agent, method, path, headers: { ...headers } });
    sent.end(body);
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    await once(response.resume(), "end");
    report.latenciesMs.push(performance.now() - startMs);
    if (response.statusCode !== status) report.failures.push(`${method} ${path}: ${response.statusCode}`);
  } catch (error) {
    report.failures.push(`${method} ${path}: ${(error as Error).message}`);
  }
}
