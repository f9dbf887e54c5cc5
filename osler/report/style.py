"""How the report looks, and its one button."""

LIGHT = """
--paper:#f6f7f9; --card:#ffffff; --ink:#1b2028; --muted:#596273; --line:#dfe3e9; --soft:#eef1f5;
--accent:#2f5bd0; --series-1:#2f5bd0; --series-2:#c9600a; --right:#1d459f; --wrong:#8f3a0a; --on-shade:#ffffff;
--good:#1a7a48; --good-soft:#e3f4ea; --warn:#8f5b00; --warn-soft:#fcf0d8; --bad:#b3261e; --bad-soft:#fce8e6;
"""
DARK = """
--paper:#0f1216; --card:#171b21; --ink:#e7ebf1; --muted:#9ba6b5; --line:#2b323c; --soft:#1f252d;
--accent:#86a8ff; --series-1:#86a8ff; --series-2:#f2a24e; --right:#6d90ea; --wrong:#d58534; --on-shade:#080a0d;
--good:#58cf91; --good-soft:#15301f; --warn:#eab54f; --warn-soft:#33280f; --bad:#ff8a80; --bad-soft:#3a1a18;
"""

CSS = (
    f":root{{color-scheme:light dark;{LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{{DARK}}}}}"
    f":root[data-theme=dark]{{color-scheme:dark;{DARK}}}:root[data-theme=light]{{color-scheme:light}}"
    """
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);overflow-wrap:anywhere;
 font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue","DejaVu Sans",sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:40px}
h1{font-size:clamp(1.7rem,4vw,2.5rem);line-height:1.15;letter-spacing:-.02em;margin:.2em 0 .3em}
h2{font-size:1.3rem;letter-spacing:-.01em;margin:0 0 18px}
h3{font-size:.95rem;margin:26px 0 8px}
h3>span{font-weight:400;color:var(--muted)}
p{margin:.4em 0;max-width:70ch}p.note{max-width:none}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.86em}
.eyebrow,.note{color:var(--muted);font-size:.87rem}
.hero{display:flex;flex-wrap:wrap;gap:24px 56px;align-items:flex-end;justify-content:space-between}
.hero>div:first-child{flex:1 1 24rem}
.big{font-size:clamp(3rem,9vw,4.6rem);font-weight:700;line-height:1;letter-spacing:-.035em;
 color:var(--accent);white-space:nowrap;font-variant-numeric:tabular-nums}
.pill{display:inline-block;border-radius:99px;padding:2px 12px;font-size:.86rem;font-weight:600;
 background:var(--good-soft);color:var(--good);print-color-adjust:exact}
.pill.warning{background:var(--warn-soft);color:var(--warn)}
.pill.critical{background:var(--bad-soft);color:var(--bad)}
.pill.hint{background:var(--soft);color:var(--muted)}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:1px;margin:30px 0 18px;padding:0;
 background:var(--line);border:1px solid var(--line);border-radius:14px;overflow:hidden}
.tiles div{background:var(--card);padding:13px 18px}
.tiles dt{color:var(--muted);font-size:.8rem}
.tiles dd{margin:0;font-size:1.12rem;font-weight:650;font-variant-numeric:tabular-nums}
nav{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:.9rem;margin:0 0 22px}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
section{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:26px 28px;margin:0 0 20px;
 scroll-margin-top:12px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem;overflow-wrap:normal}
th{text-align:left;color:var(--muted);font-weight:600;font-size:.82rem;position:sticky;top:0;background:var(--card);
 box-shadow:inset 0 -1px var(--line)}
th,td{padding:7px 18px 7px 0;vertical-align:top}
td{border-bottom:1px solid var(--line);max-width:34rem}
tr:last-child td{border-bottom:0}
th.number,td.number{text-align:right;padding-right:26px;font-variant-numeric:tabular-nums;white-space:nowrap}
table.layers td:nth-child(-n+5){white-space:nowrap}
table.choices td:nth-child(1){color:var(--muted);white-space:nowrap}
table.choices td:nth-child(2){font-weight:600;min-width:9rem}
table.narrow{width:auto;min-width:min(26rem,100%)}
tfoot td{font-weight:650;border-top:1px solid var(--line)}
ul{padding-left:1.15em;margin:.5em 0}li{margin:.25em 0}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,360px),1fr));gap:26px 36px}
figure{margin:0;min-width:0}
figcaption{font-weight:600;font-size:.95rem;margin-bottom:2px}
figcaption span{font-weight:400;color:var(--muted);font-size:.87rem}
svg.figure{display:block;width:100%;height:auto}
svg.figure text,svg.confusion text{font-family:inherit!important}
svg.confusion{display:block;font-size:12px}
svg.confusion text{fill:var(--muted)}
svg.confusion .label text{fill:var(--ink)}
svg.confusion .axis{font-weight:600}
svg.confusion .frame{fill:none;stroke:var(--line)}
svg.confusion .cell text{font-size:var(--size);text-anchor:middle;fill:var(--ink);font-variant-numeric:tabular-nums}
svg.confusion .cell.strong text{fill:var(--on-shade);font-weight:600}
svg.confusion .right rect{fill:var(--right)}
svg.confusion .wrong rect{fill:var(--wrong)}
.beside{display:flex;flex-wrap:wrap;gap:0 56px;align-items:flex-start}.beside>*{min-width:0;max-width:100%}
.matrix{overflow:auto;max-height:56rem}
svg.osler-network{display:block;min-width:980px;width:100%;height:auto}
svg.osler-network .sheet{fill:none}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:16px;padding:0;margin:0;list-style:none}
.cards li{margin:0;background:var(--soft);border-radius:10px;padding:10px;font-size:.86rem;line-height:1.4;
 break-inside:avoid}
.cards img{display:block;width:100%;aspect-ratio:1;object-fit:contain;image-rendering:pixelated;border-radius:6px;
 background:#000;margin-bottom:8px}
.cards b{font-weight:650}
.cards .note{display:block;font-size:.8rem}
.finding{border-left:3px solid var(--line);padding:2px 0 2px 16px;margin:0 0 20px;break-inside:avoid}
.finding.critical{border-color:var(--bad)}.finding.warning{border-color:var(--warn)}
.finding h3{margin:0 0 4px}
pre{background:var(--soft);border-radius:10px;padding:14px 16px;overflow:auto;margin:8px 0;white-space:pre-wrap}
details{margin-top:16px}summary{cursor:pointer;color:var(--accent);font-size:.92rem}
footer{color:var(--muted);font-size:.85rem;padding-bottom:40px}
button{position:absolute;top:16px;right:20px;font:inherit;font-size:.86rem;color:var(--ink);background:var(--card);
 border:1px solid var(--line);border-radius:99px;padding:5px 14px;cursor:pointer}
button:hover{border-color:var(--muted)}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
@media (max-width:640px){header,main,footer{padding-left:14px;padding-right:14px}header{padding-top:60px}
 section{padding:20px 16px}svg.figure text{font-size:11px!important}}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
@media print{body{background:none;font-size:11pt}nav,button{display:none!important}
 section{border:0;padding:0;margin:0 0 24px}.scroll,.matrix{overflow:visible;max-height:none}
 h2,h3,figcaption{break-after:avoid}figure,tr{break-inside:avoid}
 svg.osler-network{min-width:0}svg.confusion{max-width:100%;height:auto}
 .cell rect,.face{print-color-adjust:exact}th{position:static}}
"""
)

# The button overrides the reader's preference; paper is always light, with everything unfolded.
SCRIPT = """
const root = document.documentElement, button = document.querySelector("button");
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : prefersDark.matches;
const label = () => { button.textContent = isDark() ? "Light" : "Dark"; };
try { const kept = localStorage.getItem("osler-theme"); if (kept) root.dataset.theme = kept; } catch {}
button.hidden = false;
label();
prefersDark.addEventListener("change", label);
button.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  label();
  try { localStorage.setItem("osler-theme", root.dataset.theme); } catch {}
});
let before;
addEventListener("beforeprint", () => {
  before = root.dataset.theme;
  root.dataset.theme = "light";
  document.querySelectorAll("details").forEach((d) => { d.open = true; });
});
addEventListener("afterprint", () => { if (before) root.dataset.theme = before; else delete root.dataset.theme; });
"""
