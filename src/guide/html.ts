/** Blocks → one HTML page that needs nothing but its own style: no script, no picture, no other file. */
import { anchorOf, type Block, type Item } from "./blocks.ts";
import { STYLE } from "./style.ts";

export function toHtml(title: string, blocks: readonly Block[]): string {
  const body = blocks.map(blockHtml).join("\n");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;
}

function blockHtml(block: Block): string {
  switch (block.kind) {
    case "heading": {
      const id = anchorOf(block.text);
      return `<h${block.level} id="${id}"><a href="#${id}">${escaped(block.text)}</a></h${block.level}>`;
    }
    case "text":
      return `<p>${inline(block.text)}</p>`;
    case "code":
      return preformatted(block.text);
    case "steps":
      return `<ol>${block.items.map(itemHtml).join("\n")}</ol>`;
    case "bullets":
      return `<ul>${block.items.map(itemHtml).join("\n")}</ul>`;
    case "table": {
      const rows = block.rows.map((cells) => `<tr>${cells.map((cell) => `<td>${inline(cell)}</td>`).join("")}</tr>`);
      const head = block.head.map((cell) => `<th>${inline(cell)}</th>`).join("");
      return `<div class="table"><table><thead><tr>${head}</tr></thead>\n<tbody>${rows.join("\n")}</tbody></table></div>`;
    }
  }
}

function itemHtml({ text, code }: Item): string {
  return `<li>${inline(text)}${code === undefined ? "" : preformatted(code)}</li>`;
}

const preformatted = (code: string): string => `<pre><code>${escaped(code)}</code></pre>`;

/** The marks of `blocks.ts`, and escaped characters. */
const MARKS =
  /`([^`]+)`|\*\*(.+?)\*\*|\*(.+?)\*|\[((?:[^\]\\]|\\.)+)\]\(((?:https:\/\/|#)[^\s()]+)\)|\\([*_`[\]<>\\])/g;

function inline(text: string): string {
  let html = "";
  let at = 0;
  for (const match of text.matchAll(MARKS)) {
    const [whole, code, strong, emphasis, label, address, character] = match;
    html += escaped(text.slice(at, match.index));
    at = match.index + whole.length;
    if (code !== undefined) html += `<code>${escaped(code)}</code>`;
    else if (strong !== undefined) html += `<strong>${inline(strong)}</strong>`;
    else if (emphasis !== undefined) html += `<em>${inline(emphasis)}</em>`;
    else if (label !== undefined) html += `<a href="${escaped(address ?? "")}">${inline(label)}</a>`;
    else html += escaped(character ?? "");
  }
  return html + escaped(text.slice(at));
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const escaped = (plain: string): string => plain.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? "");
