/** A server in a process of its own, on a core of its own where the system can pin it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";

const SERVER_CORE = "0";
const LOAD_CORE = "1";

const pins = spawnSync("taskset", ["-c", SERVER_CORE, "true"]).status === 0;

/** Keeps this process off the servers' core. Returns whether that was possible. */
export function pinLoad(): boolean {
  return pins && spawnSync("taskset", ["-a", "-p", "-c", LOAD_CORE, String(process.pid)]).status === 0;
}

export class ServerProcess {
  readonly port: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, port: number) {
    this.#child = child;
    this.port = port;
  }

  /** Runs a module, which must be a `serve` module, with a setting that it gets as JSON. */
  static async start(module: string, setting: object, { pin = pins } = {}): Promise<ServerProcess> {
    const args = [module, JSON.stringify(setting)];
    const [command, ...before] = pin ? ["taskset", "-c", SERVER_CORE, process.execPath] : [process.execPath];
    const child = spawn(command as string, [...before, ...args], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    const exited = once(child, "exit").then(([code]) => Promise.reject(new Error(`${module} exited with ${code}`)));
    const [port] = await Promise.race([once(child, "message"), exited]);
    exited.catch(() => {});
    return new ServerProcess(child, port as number);
  }

  /** Processor time used so far, in seconds. */
  async cpuSeconds(): Promise<number> {
    const answer = once(this.#child, "message");
    this.#child.send("cpu");
    return (await answer)[0] as number;
  }

  async stop(): Promise<void> {
    const exited = once(this.#child, "exit");
    this.#child.kill();
    await exited;
  }
}

/** The other side: says the port, and how much processor time was used whenever it is asked. */
export function announce(port: number): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.((user + system) / 1e6);
  });
  process.on("disconnect", () => process.exit());
  process.send?.(port);
}
