/** The page's style, in light and dark. */
export const STYLE = `
:root { color-scheme: light dark; --ink: #1c2230; --soft: #5a6275; --line: #e1e5ee; --paper: #fff; --wash: #f5f7fb; --link: #2a50c8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8f1; --soft: #9aa4b8; --line: #2b3242; --paper: #12161f; --wash: #1a202c; --link: #8fb0ff; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.6 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 3rem 1.25rem 6rem; overflow-wrap: break-word; }
h1, h2, h3 { line-height: 1.25; letter-spacing: -0.01em; }
h1 { margin: 0 0 1rem; font-size: 2.25rem; }
h2 { margin: 3.5rem 0 1rem; font-size: 1.5rem; }
h3 { margin: 3rem 0 0.5rem; padding-top: 1.5rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
h1 a, h2 a, h3 a { color: inherit; text-decoration: none; }
h3 + p { margin-top: 0; color: var(--soft); }
a { color: var(--link); text-underline-offset: 0.15em; }
:target { background: linear-gradient(transparent 55%, color-mix(in srgb, var(--link) 22%, transparent) 0); }
code { padding: 0.1em 0.3em; border-radius: 4px; background: var(--wash); font: 0.875em ui-monospace, "Cascadia Mono", Menlo, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.75rem 0; padding: 0.75rem 1rem; border: 1px solid var(--line); border-radius: 8px; background: var(--wash); line-height: 1.5; }
pre code { padding: 0; background: none; }
li { margin: 0.35rem 0; }
ol, ul { padding-left: 1.4rem; }
.table { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: 0.9375rem; }
th { color: var(--soft); font-weight: 600; text-align: left; }
th, td { padding: 0.4rem 0.75rem 0.4rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
`;
