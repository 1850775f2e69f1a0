/**
 * A page as blocks, for whatever it is written in. Text is prose with three marks of Markdown's: `code`, **strong** and
 * [label](address); `prose.ts` makes text safe to stand between them.
 */

export type Block =
  | { readonly kind: "heading"; readonly level: 1 | 2 | 3; readonly text: string }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "steps" | "bullets"; readonly items: readonly Item[] }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "table"; readonly head: readonly string[]; readonly rows: readonly (readonly string[])[] };

/** One member of a list, and what to paste. */
export interface Item {
  readonly text: string;
  readonly code?: string;
}

export const text = (content: string): Block => ({ kind: "text", text: content });
export const heading = (level: 1 | 2 | 3, content: string): Block => ({ kind: "heading", level, text: content });

/** The address of a heading within its page, as GitHub makes it. */
export function anchorOf(headingText: string): string {
  const letters = headingText.toLowerCase().replaceAll(/[^\p{L}\p{N}\s_-]/gu, "");
  return letters.trim().replaceAll(/\s/g, "-");
}
