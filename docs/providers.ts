/** The setup guides as Markdown, from the presets. Run by itself (npm run generate) it writes providers.md. */
import { writeFileSync } from "node:fs";
import { toMarkdown } from "../src/guide/markdown.ts";
import { providersPage } from "../src/guide/page.ts";

export const PROVIDERS_FILE = new URL("providers.md", import.meta.url);

export function providersMarkdown(): string {
  return toMarkdown(providersPage({ origin: "http://127.0.0.1:8080", apiKey: "$(cat data/api-key)" }));
}

if (import.meta.main) writeFileSync(PROVIDERS_FILE, providersMarkdown());
