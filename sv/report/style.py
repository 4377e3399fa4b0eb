"""The style sheet of the report page, light and dark."""

from sv.report.plots import PALETTE

DARK = {
    "ink": "#dde4ea",
    "muted": "#93a1ad",
    "grid": "#2c363f",
    "paper": "#161b20",
    "series0": "#62b6de",
    "series1": "#f08592",
    "series2": "#86cc9e",
    "series3": "#c4a5d6",
    "series4": "#f2bb57",
    "series5": "#a3b4bf",
    "wash": "#1d242b",
    "alarm": "#3a2c12",
    "alarm-edge": "#d9a441",
}
LIGHT = {**PALETTE, "wash": "#f4f6f7", "alarm": "#fdf4e0", "alarm-edge": "#d98e04"}


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


STYLE = (
    f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 3rem 1.5rem 5rem; max-width: 60rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 ui-sans-serif, system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; }
h1 { margin: .1rem 0 .4rem; font-size: 2rem; line-height: 1.2; font-weight: 650;
  letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .8rem; font-size: 1.2rem; font-weight: 620; letter-spacing: -.005em; }
p { margin: .5rem 0; max-width: 46rem; }
.over { color: var(--muted); font-size: .85rem; letter-spacing: .02em; margin: 0; }
.lead { font-size: 1.1rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.6rem 0; }
.tile { flex: 1 1 11rem; padding: .9rem 1.1rem 1rem; background: var(--wash);
  border-radius: .6rem; }
.tile b { display: block; font-size: 1.75rem; line-height: 1.25; font-weight: 640;
  font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.tile span { display: block; color: var(--muted); font-size: .85rem; }
.alarm { margin: 1.4rem 0; padding: .7rem 1.1rem; background: var(--alarm);
  border-left: .25rem solid var(--alarm-edge); border-radius: .3rem; }
.alarm p { margin: .3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
.wide { width: 100%; } .wide th { white-space: nowrap; }
th { color: var(--muted); font-weight: 550; font-size: .82rem; text-align: left;
  vertical-align: bottom; }
th, td { padding: .45rem 1.3rem .45rem 0; border-bottom: 1px solid var(--grid); }
td { vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
tbody tr:last-child td { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
.span { color: var(--muted); font-size: .82rem; margin-left: .35rem; }
.lines td:first-child { color: var(--muted); white-space: nowrap; }
.lines td { overflow-wrap: anywhere; min-width: 8rem; }
.best { font-weight: 680; } .best .span { font-weight: 400; }
figure { margin: 1.2rem 0 0; } svg { display: block; width: 100%; max-width: 34rem; height: auto; }
.panels { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); }
th a { color: inherit; text-decoration: underline dotted; text-underline-offset: .2em; }
dt { font-weight: 620; margin-top: .5rem; } dd { margin: 0; color: var(--muted); max-width: 46rem; }
dt:target { background: var(--alarm); }
@media (max-width: 30rem) { body { padding: 1.2rem .9rem 3rem; } h1 { font-size: 1.5rem; } }
svg text { font-family: ui-sans-serif, system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
figcaption, .note { color: var(--muted); font-size: .88rem; max-width: 46rem; }
details { margin: .9rem 0; border-top: 1px solid var(--grid); padding-top: .8rem; }
details > summary { cursor: pointer; font-weight: 560; }
details > summary:hover { color: var(--series0); }
details[open] > summary { margin-bottom: .6rem; }
pre { margin: 0; padding: .9rem 1.1rem; background: var(--wash); border-radius: .5rem;
  font: .82rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-x: auto; }
.checks { list-style: none; padding: 0; margin: .4rem 0; }
.checks li { padding: .25rem 0 .25rem 1.6rem; position: relative; }
.checks li::before { position: absolute; left: 0; font-weight: 700; }
.fine::before { content: "\\2713"; color: var(--series2); }
.warning::before { content: "!"; color: var(--alarm-edge); left: .25rem !important; }
.unknown::before { content: "?"; color: var(--muted); left: .15rem !important; }
@media print { body { padding: 0; } details { break-inside: avoid; } }
"""
)
