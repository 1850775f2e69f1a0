/** Blocks → Markdown (GitHub's). */
import type { Block, Item } from "./blocks.ts";

export function toMarkdown(blocks: readonly Block[]): string {
  return `${blocks.map(blockText).join("\n\n")}\n`;
}

function blockText(block: Block): string {
  switch (block.kind) {
    case "heading":
      return `${"#".repeat(block.level)} ${block.text}`;
    case "text":
      return block.text;
    case "code":
      return fenced(block.text);
    case "steps":
      return listText(block.items, (index) => `${index + 1}. `);
    case "bullets":
      return listText(block.items, () => "- ");
    case "table":
      return [block.head, block.head.map(() => "---"), ...block.rows]
        .map((cells) => `| ${cells.join(" | ")} |`)
        .join("\n");
  }
}

function listText(items: readonly Item[], mark: (index: number) => string): string {
  return items
    .map((item, index) => listItem(mark(index), item))
    .join("\n")
    .trimEnd();
}

function listItem(mark: string, { text, code }: Item): string {
  if (code === undefined) return mark + text;
  const indent = " ".repeat(mark.length);
  return `${mark}${text}\n\n${fenced(code).replaceAll(/^/gm, indent)}\n`;
}

const fenced = (code: string): string => `\`\`\`sh\n${code}\n\`\`\``;
