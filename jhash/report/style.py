"""The style of the page about runs: for wide and narrow screens, light and dark, and for paper."""

CSS = """
:root { color-scheme: light dark; --page: #fff; --text: #1a1a1a; --faint: #505050; --line: #ddd;
  --rule: #bbb; --frame: #888; --card: #f3f5f7; --right: #1b7f3b; --wrong: #c62828;
  --warning: #fff4e5; --edge: #b35900; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #15171a; --text: #e6e6e6;
  --faint: #b0b0b0; --line: #34383d; --rule: #565b61; --frame: #7a7f85; --card: #20242a;
  --right: #4cc474; --wrong: #ff8a80; --warning: #33260f; --edge: #e0953a; }
  .figures img { filter: invert(1) hue-rotate(180deg); } }
@media print { :root { color-scheme: light; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--page);
  margin: 0 auto; max-width: 76rem; padding: 0 1rem 3rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 1.2rem 0 .4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--rule); }
h3 { margin: 1.2rem 0 .3rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1rem 0 .2rem; font-size: .95rem; overflow-wrap: anywhere; }
.facts { color: var(--faint); margin: .3rem 0; overflow-wrap: anywhere; }
.note { max-width: 50rem; color: var(--faint); font-size: .88rem; margin: .4rem 0; }
.warning { border: 2px solid var(--edge); background: var(--warning); padding: .5rem 1rem;
  overflow-wrap: anywhere; }
details { margin: .7rem 0; } summary { cursor: pointer; }
summary h3 { display: inline; font-size: 1rem; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 13rem), 1fr));
  gap: .8rem; margin: 1rem 0; }
.numbers div { background: var(--card); border-radius: .4rem; padding: .6rem .9rem;
  break-inside: avoid; }
.numbers dt { font-size: .9rem; color: var(--faint); }
.numbers dd { margin: 0; font-size: .9rem; }
.numbers b { font-size: 1.5rem; font-variant-numeric: tabular-nums; margin-right: .3rem; }
.scroll { overflow-x: auto; } .scroll + .scroll { margin-top: 1rem; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); font-size: .88rem; padding: .3rem 0; }
th, td { padding: .15rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  overflow-wrap: anywhere; min-width: 4rem; }
tbody th, thead td { text-align: left; font-weight: normal; }
tbody th { white-space: nowrap; }
tbody th, thead td:first-child { position: sticky; left: 0; background: var(--page); }
tbody th[scope=rowgroup] { font-weight: 600; padding-top: .6rem; }
.text { text-align: left; min-width: 8rem; }
thead th, thead td { vertical-align: bottom; overflow-wrap: normal; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr));
  gap: 1.2rem 2rem; margin-top: 1rem; }
figure { margin: 0; break-inside: avoid; }
.figures figcaption { font-weight: 600; font-size: .92rem; overflow-wrap: anywhere; }
.figures img { width: 100%; height: auto; }
.row { display: grid; grid-template-columns: minmax(0, 1.25fr) minmax(0, 10fr); gap: .8rem;
  padding: .5rem 0; border-bottom: 1px solid var(--line); break-inside: avoid; }
.row ol { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: .4rem; margin: 0;
  padding: 0; list-style: none; }
.row figcaption, .row li { font-size: .72rem; line-height: 1.3; overflow-wrap: anywhere; }
.row img { display: block; box-sizing: border-box; width: 100%; aspect-ratio: 1;
  object-fit: contain; border: 3px solid var(--frame); background: var(--card);
  margin-bottom: .15rem; }
td img { display: block; width: 4rem; height: 4rem; margin-left: auto; object-fit: contain;
  border: 1px solid var(--frame); }
.pixels { image-rendering: pixelated; }
.row .right img { border-color: var(--right); } .right b { color: var(--right); }
.row .wrong img { border: 3px dashed var(--wrong); } .wrong b { color: var(--wrong); }
@media (max-width: 48rem) { .row { grid-template-columns: minmax(0, 1fr); }
  .row figure { display: grid; grid-template-columns: 5.5rem minmax(0, 1fr); gap: .7rem; }
  .row ol { grid-template-columns: repeat(5, minmax(0, 1fr)); } }
@media (max-width: 40rem) { table { font-size: .8rem; }
  th, td { padding: .15rem .35rem; min-width: 3rem; }
  tbody th { white-space: normal; min-width: 5.5rem; max-width: 9rem; }
  td:not(.text) { white-space: nowrap; } .text { min-width: 4rem; } }
@media print { @page { margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  h1 { font-size: 15pt; } h2 { font-size: 12.5pt; margin: 1rem 0 .3rem; } h3 { font-size: 10.5pt; }
  h2, h3, h4, .note, caption { break-after: avoid; } tr { break-inside: avoid; }
  .note { font-size: 7.5pt; line-height: 1.35; max-width: none; }
  details:not([open]), .folded:not(:has(details[open])) { display: none; }
  .scroll { overflow: visible; } tbody th, thead td:first-child { position: static; }
  table { font-size: 7.5pt; } th, td { padding: .1rem .25rem; min-width: 2.4rem; }
  .text { min-width: 5rem; }
  .numbers { grid-template-columns: repeat(3, 1fr); } .numbers b { font-size: 13pt; }
  .numbers div { padding: .3rem .6rem; }
  .figures { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .6rem 1.2rem; }
  .row { grid-template-columns: minmax(0, 1.1fr) minmax(0, 10fr); padding: .2rem 0; gap: .5rem; }
  .row figure { display: block; } .row ol { grid-template-columns: repeat(10, minmax(0, 1fr)); }
  .row figcaption, .row li { font-size: 6.5pt; } }
"""
