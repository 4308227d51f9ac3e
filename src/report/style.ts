/** The page's style sheet: light and dark, wide and narrow, screen and paper. Series colours are s0 .. s5. */

const light = `
--paper:#f7f6f2;--card:#fff;--ink:#1b2420;--soft:#56625b;--faint:#656f69;--line:#e2e0d8;--grid:#e9e7e0;
--good:#1f6b41;--good-paper:#e3f1e8;--bad:#8a4b08;--bad-paper:#faecd8;--even:#56625b;--even-paper:#ecebe5;
--s0:#8a94a3;--s1:#2f7d4f;--s2:#c2781b;--s3:#7b5aa6;--s4:#2b7a9b;--s5:#b0506a;`;

const dark = `
--paper:#101513;--card:#181f1c;--ink:#e8ede9;--soft:#a5b1aa;--faint:#8f9b94;--line:#2b3531;--grid:#27302c;
--good:#8ad6a8;--good-paper:#1b3527;--bad:#f0b878;--bad-paper:#3a2a17;--even:#a5b1aa;--even-paper:#262e2a;
--s0:#76828f;--s1:#55b37f;--s2:#dd9a45;--s3:#a88bd2;--s4:#5aabcc;--s5:#d97f97;`;

/** Colours of a heat map, h0 .. h15. */
export const HEAT_LEVELS = 16;

const heatLight = heatRamp(["#eef2ea", "#8fc3a2", "#2f7d4f", "#0b2f1d"]);
const heatDark = heatRamp(["#1d2824", "#2a6647", "#68c090", "#e9fff2"]);

/** Variables of the colours on straight lines between the given ones, evenly spaced. */
function heatRamp(stops: readonly string[]): string {
  const channel = (stop: number, index: number): number =>
    Number.parseInt((stops[stop] as string).slice(1 + 2 * index, 3 + 2 * index), 16);
  const colour = (level: number): string => {
    const at = (level / (HEAT_LEVELS - 1)) * (stops.length - 1);
    const below = Math.min(Math.floor(at), stops.length - 2);
    const mixed = [0, 1, 2].map((i) =>
      Math.round(channel(below, i) + (at - below) * (channel(below + 1, i) - channel(below, i))),
    );
    return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  };
  return Array.from({ length: HEAT_LEVELS }, (_, level) => `--h${level}:${colour(level)};`).join("");
}

const base = `
*{box-sizing:border-box}
html{color-scheme:light dark;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 "Inter","Segoe UI Variable Text","Segoe UI",system-ui,-apple-system,"Helvetica Neue",Roboto,"Noto Sans",Arial,sans-serif;font-variant-numeric:tabular-nums;-webkit-font-smoothing:antialiased}
main{max-width:1128px;margin:0 auto;padding:40px clamp(16px,4vw,44px) 72px}
h1,h2,h3,p,ul,dl,figure,pre{margin:0}
ul{list-style:none;padding:0}
h1{font-size:clamp(28px,4.4vw,42px);line-height:1.14;font-weight:680;letter-spacing:-.022em;overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:21px;line-height:1.3;font-weight:650;letter-spacing:-.012em}
h3{font-size:15px;line-height:1.4;font-weight:620}
small{font-size:.8em;font-weight:400;color:var(--soft)}
section{margin-top:52px}
`;

const head = `
.brand{display:flex;align-items:center;gap:9px;margin-bottom:30px;font-weight:640;letter-spacing:-.01em}
.brand .quiet{color:var(--faint);font-weight:400;padding-left:10px;border-left:1px solid var(--line)}
.emblem{width:24px;height:24px;fill:none;stroke:var(--s1);stroke-width:2.3;stroke-linecap:round}
.lede{margin-top:14px;max-width:46em;font-size:clamp(17px,1.9vw,20px);line-height:1.5;color:var(--ink);text-wrap:pretty}
.byline{margin-top:12px;font-size:14px;color:var(--soft)}
.intro{margin-top:4px;max-width:60em;color:var(--soft);font-size:15px;text-wrap:pretty}
.note{margin-top:12px;font-size:13.5px;color:var(--soft)}
`;

const cards = `
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(228px,1fr));gap:16px;margin-top:36px}
.card,figure,.sample{background:var(--card);border:1px solid var(--line);border-radius:12px}
.card{display:flex;flex-direction:column;padding:18px 20px 16px}
.card h2{font-size:14px;font-weight:560;letter-spacing:0;color:var(--soft)}
.big{margin-top:4px;font-size:36px;line-height:1.2;font-weight:660;letter-spacing:-.028em}
.big small{font-size:17px;font-weight:500;letter-spacing:-.005em}
.change{align-self:flex-start;margin-top:8px;padding:2px 10px;border-radius:99px;font-size:13px;font-weight:600}
.good{color:var(--good);background:var(--good-paper)}.bad{color:var(--bad);background:var(--bad-paper)}.even{color:var(--even);background:var(--even-paper)}
.card ul{padding-top:18px}
.card li{display:grid;grid-template-columns:1fr auto;column-gap:12px;font-size:13.5px;line-height:1.4;padding-bottom:9px}
.card .name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.card .amount{font-weight:560}
.card .name .swatch{display:none}
.bar{grid-column:1/-1;height:6px;margin-top:4px;border-radius:3px;background:var(--grid);overflow:hidden}
.bar i{display:block;height:100%;min-width:2px;border-radius:3px;background:var(--c)}
.condition{margin-top:auto;padding-top:6px;font-size:12.5px;color:var(--faint)}
.swatch{display:inline-block;width:10px;height:10px;margin-right:7px;border-radius:3px;background:var(--c)}
${[0, 1, 2, 3, 4, 5].map((index) => `.s${index}{--c:var(--s${index})}`).join("")}
`;

const figures = `
.heading{display:flex;flex-wrap:wrap;align-items:baseline;justify-content:space-between;gap:4px 24px}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:14px}
.figures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px;margin-top:18px}
figure{display:grid;grid-row:span 2;grid-template-rows:subgrid;padding:18px 20px 14px;min-width:0}
figcaption p{font-size:13.5px;line-height:1.45;color:var(--soft)}
svg{display:block}
figure svg{width:100%;height:auto;overflow:visible;font-size:12px}
figure .narrow{display:none}
rect{fill:var(--c)}.track{opacity:.2}
.grid{stroke:var(--grid)}.zero{stroke:var(--faint)}
text{fill:var(--ink)}.tick,.of,.none{fill:var(--soft)}.group{fill:var(--soft);paint-order:stroke;stroke:var(--card);stroke-width:5px;stroke-linejoin:round}.value{font-weight:600;paint-order:stroke;stroke:var(--card);stroke-width:3px}.of{font-weight:400}
.whisker{stroke:var(--ink);stroke-width:1.2;opacity:.75;fill:none}
.range circle{fill:var(--c)}.range path{stroke:var(--c);fill:none}.thin{stroke-width:1.5}.thick{stroke-width:5;opacity:.55;stroke-linecap:round}
.curve path{fill:none;stroke:var(--c);stroke-width:1.7;stroke-linejoin:round}.curve circle{fill:var(--c)}
.full{grid-column:1/-1}
figcaption .legend{margin-top:6px}
.heat path{fill:none;stroke:var(--c);stroke-width:1;shape-rendering:crispEdges}
${Array.from({ length: HEAT_LEVELS }, (_, level) => `.h${level}{--c:var(--h${level})}`).join("")}
`;

const tables = `
.scroll{margin-top:16px;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px}
table{width:100%;border-collapse:collapse;font-size:13.5px;line-height:1.4}
th,td{padding:8px 12px;text-align:right;white-space:nowrap;font-weight:400}
thead td{border-bottom:1px solid var(--line)}
thead th{vertical-align:bottom;color:var(--soft);font-weight:560;border-bottom:1px solid var(--line)}
thead small{display:block;font-size:12px}
th:first-child{position:sticky;left:0;padding-left:18px;text-align:left;background:var(--card);font-weight:560}
td:last-child,th:last-child{padding-right:18px}
tbody tr+tr>*{border-top:1px solid var(--grid)}
.facts td,.facts thead th{text-align:left;white-space:normal;min-width:10em}
.facts tbody th{color:var(--soft);width:14em}
.words td,.words thead th{text-align:left;white-space:normal}
mark{background:var(--bad-paper);color:var(--bad);padding:1px 6px;border-radius:5px}
`;

const words = `
.sample{margin-top:16px;padding:20px 22px}
.prompt{font-size:17px;font-weight:560;letter-spacing:-.006em;white-space:pre-wrap;overflow-wrap:anywhere}
.answers{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(300px,100%),1fr));gap:20px;margin-top:16px}
.answer{padding-left:16px;border-left:3px solid var(--c,var(--line))}
.answer h3{font-size:13px;color:var(--soft)}
.answer p{margin-top:2px;font-size:15px;white-space:pre-wrap;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px 40px;margin-top:20px}
dt{font-size:14px;font-weight:620}
dd{margin:0;font-size:14px;line-height:1.5;color:var(--soft);text-wrap:pretty}
pre{margin-top:16px;padding:16px 20px;overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:12px;font:13px/1.7 ui-monospace,"SF Mono","Cascadia Code","JetBrains Mono",Menlo,Consolas,monospace}
footer{margin-top:56px;padding-top:16px;border-top:1px solid var(--line);font-size:13px;color:var(--faint)}
`;

const media = `
@media (max-width:860px){.figures{grid-template-columns:minmax(0,1fr)}}
@media (max-width:560px){main{padding-top:24px}section{margin-top:40px}.figures{gap:12px}figure .wide{display:none}figure .narrow{display:block}figure{padding:16px}.brand{margin-bottom:22px}dl{grid-template-columns:minmax(0,1fr)}.cards{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}.card{padding:14px 14px 12px}.big{font-size:28px}.big small{font-size:14px}.card li{font-size:12.5px;column-gap:6px}}
@media print{html{color-scheme:light}body{background:#fff;font-size:11pt;print-color-adjust:exact;-webkit-print-color-adjust:exact}main{max-width:none;padding:0}section{margin-top:26px}.card,.cards,.figures,.sample,tr,dl>div{break-inside:avoid}h2,.heading,.intro{break-after:avoid}.figures{grid-template-columns:repeat(2,minmax(0,1fr));gap:10px}figure{display:block;padding:12px 14px}figcaption{margin-bottom:10px}figure .wide{display:none}figure .narrow{display:block}.intro{break-inside:avoid;font-size:9.5pt}dd,dt{font-size:8.5pt}pre{white-space:pre-wrap;font-size:8pt}.scroll{overflow:visible}table{font-size:7pt}th,td{padding:3px 4px}th:first-child{position:static;padding-left:6px}.cards{grid-template-columns:repeat(4,1fr)}.card{padding:12px}.big{font-size:22px}}
@page{margin:14mm}
`;

export const styleSheet = [
  `:root{${light}${heatLight}}`,
  `@media screen and (prefers-color-scheme:dark){:root{${dark}${heatDark}}}`,
  base,
  head,
  cards,
  figures,
  tables,
  words,
  media,
]
  .join("\n")
  .replace(/\n+/g, "\n");
