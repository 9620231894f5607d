// How the reference at /docs looks: light and dark, narrow and wide, no font or picture from anywhere.

export const STYLE = `
:root { color-scheme: light dark; --text: #1b1f24; --soft: #57606a; --line: #d5dae0; --back: #ffffff; --panel: #f5f7f9; --link: #0b5cad; --post: #17692f; --delete: #a8261c; --change: #7a4f00; }
@media (prefers-color-scheme: dark) { :root { --text: #e8ebee; --soft: #a5aeb8; --line: #3a424c; --back: #14181d; --panel: #1d232a; --link: #7fb8f5; --post: #74d18f; --delete: #ff948a; --change: #f0bd5c; } }
* { box-sizing: border-box; }
body { margin: 0; display: grid; grid-template-columns: 18rem minmax(0, 1fr); color: var(--text); background: var(--back); font: 16px/1.5 system-ui, sans-serif; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--back); padding: .5rem 1rem; z-index: 1; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; border-right: 1px solid var(--line); background: var(--panel); font-size: .875rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav ul ul { padding: .25rem 0 .75rem .75rem; }
nav li { margin: .25rem 0; }
nav a { text-decoration: none; }
nav a:hover { text-decoration: underline; }
main { padding: 1.5rem clamp(1rem, 4vw, 3rem); max-width: 64rem; }
h1 { line-height: 1.2; margin-top: 0; }
h2 { margin-top: 3rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 2rem 0 .5rem; }
h4 { margin: 1.25rem 0 .5rem; font-size: .875rem; color: var(--soft); }
article { padding-bottom: 1rem; border-bottom: 1px solid var(--line); }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; font-size: .875em; }
pre { overflow: auto; padding: .75rem 1rem; background: var(--panel); border: 1px solid var(--line); border-radius: .375rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .375rem .5rem .375rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 400; width: 12rem; }
td:nth-child(2) { color: var(--soft); width: 8rem; }
.call span { display: inline-block; min-width: 4rem; padding: 0 .5rem; border: 1px solid currentColor; border-radius: .25rem; text-align: center; font-size: .8rem; font-weight: 600; }
.call .post { color: var(--post); }
.call .get { color: var(--link); }
.call .delete { color: var(--delete); }
.call .put, .call .patch { color: var(--change); }
.refusals { color: var(--soft); font-size: .875rem; }
summary { cursor: pointer; color: var(--link); }
@media (max-width: 48rem) {
  body { display: block; }
  nav { position: static; height: auto; max-height: 40vh; border-right: 0; border-bottom: 1px solid var(--line); }
  th { width: 7rem; }
  td:nth-child(2) { width: 5rem; }
}
`;
