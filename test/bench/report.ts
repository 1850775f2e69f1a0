/** What a bench says: tables for people on standard output, the same figures as JSON for comparisons. */
import { writeFile } from "node:fs/promises";

export type Cell = string | number;

const sections: { readonly title: string; readonly rows: Record<string, Cell>[] }[] = [];

/** Prints a table; the first column is the names of the rows. */
export function report(title: string, head: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const names = head.map((name, column) => (column === 0 ? "name" : name));
  sections.push({ title, rows: rows.map((row) => Object.fromEntries(row.map((cell, at) => [names[at] ?? at, cell]))) });
  const text = [head, ...rows].map((row) => row.map(shown));
  const widths = head.map((_name, column) => Math.max(...text.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  process.stdout.write(`\n${title}\n${text.map((row) => `  ${row.map(pad).join("  ")}\n`).join("")}`);
}

export async function writeReport(file: string): Promise<void> {
  await writeFile(
    file,
    `${JSON.stringify({ at: new Date().toISOString(), node: process.version, sections }, null, 2)}\n`,
  );
}

function shown(cell: Cell): string {
  if (typeof cell === "string") return cell;
  if (Number.isNaN(cell)) return "–";
  return Math.abs(cell) >= 100 || Number.isInteger(cell) ? cell.toFixed(0) : cell.toFixed(2);
}
