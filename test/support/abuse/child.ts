/** Runs one exported function in a process of its own: first message in, its report (or its error) out. */
export interface Task {
  readonly module: string;
  readonly name: string;
  readonly args: unknown;
}

export type TaskResult = { readonly report: unknown } | { readonly error: string };

async function run({ module, name, args }: Task): Promise<TaskResult> {
  try {
    const exports = (await import(module)) as Record<string, (args: unknown) => unknown>;
    return { report: await exports[name]?.(args) };
  } catch (error) {
    return { error: String((error as Error).stack ?? error) };
  }
}

// Whoever asked is gone: nobody would end this any more.
process.once("disconnect", () => process.exit());
process.once("message", (task: Task) => {
  void run(task).then((result) => process.send?.(result));
});
