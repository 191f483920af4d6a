// @ts-check
/** Estimates with their intervals, panel by panel; one is chosen by mouse and by keys. */
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { useMemo, useRef, useState } from "preact/hooks";
import { digitsOf, estimate, number, pText, percent } from "../format.js";
import { html } from "../html.js";
import { useWidth } from "./hooks.js";
import { LINE, Lines, linesOf } from "./lines.js";
import { Saving } from "./saving.js";
import { slider } from "./slider.js";

const ROW = 22;
const HEAD = 46;
const FOOT = 24;
// Below this width names stand above their estimates.
const NARROW = 560;

/** @typedef {import("../data.js").ForestOf} ForestOf */

/** How a value of each unit is written. @type {Record<string, (value: number | null | undefined) => string>} */
const WRITE = {
  share: percent,
  points: (value) => (value === null || value === undefined ? "\u2013" : `${value > 0 ? "+" : ""}${number(100 * value, 1)}`),
  effect: number,
  similarity: (value) => number(value, 4),
};

/** @param {{forests: ForestOf[], name: string, label: string}} props */
export function Forest({ forests, name, label }) {
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [at, setAt] = useState(0);
  const narrow = width < NARROW;
  const row = narrow ? ROW + 16 : ROW;
  const placed = useMemo(() => placesOf(forests, row, width), [forests, row, width]);
  const rows = placed.panels.flatMap((panel) => panel.forest.rows.map((one, i) => ({ one, panel, y: panel.start + (i + 0.5) * row })));
  if (!rows.length) return null;
  const chosen = rows[at];
  const left = narrow ? 14 : Math.min(270, Math.round(width * 0.4));
  const says = saysOf(chosen.one, chosen.panel.forest);
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${placed.height}
        ...${slider({
          ...{ label, says, values: [1, rows.length, at + 1], at, last: rows.length - 1, vertical: true },
          find: (_, down) => rows.reduce((best, one, i) => (Math.abs(one.y - down) < Math.abs(rows[best].y - down) ? i : best), 0),
          choose: setAt,
        })}
      >
        <rect class="row" x="0" y=${chosen.y - row / 2} width=${width} height=${row} />
        ${placed.panels.map((panel) => html`<${Panel} panel=${panel} left=${left} width=${width} row=${row} narrow=${narrow} chosen=${chosen.one} />`)}
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name=${name} target=${picture} numbers=${() => ({
      names: ["key", "what", "of", "value", "low", "high", "p_value", "reference"],
      rows: forests.flatMap((forest) =>
        forest.rows.map((one) => [one.key, forest.title, one.name, one.value, one.ci?.[0], one.ci?.[1], one.p_value, forest.reference]),
      ),
    })} />
  </div>`;
}

/** @typedef {{forest: ForestOf, title: string[], start: number}} Placed where the rows of a panel start */

/** @param {ForestOf[]} forests @param {number} row @param {number} width @returns {{panels: Placed[], height: number}} */
function placesOf(forests, row, width) {
  let top = 0;
  const panels = forests.map((forest) => {
    const title = linesOf(forest.title, width * 0.94);
    const start = top + HEAD + (title.length - 1) * LINE;
    top = start + forest.rows.length * row + FOOT + 12;
    return { forest, title, start };
  });
  return { panels, height: top };
}

/**
 * @param {{
 *   panel: Placed, left: number, width: number, row: number, narrow: boolean,
 *   chosen: import("../data.js").Estimate,
 * }} props
 */
function Panel({ panel, left, width, row, narrow, chosen }) {
  const { forest, start } = panel;
  const ends = forest.rows.flatMap((one) => [one.value, ...(one.ci ?? [])]);
  const [low, high] = extent([...ends, ...(forest.reference === null ? [] : [forest.reference])]);
  const right = Math.max(width - (narrow ? 22 : 150), left + 1);
  const x = scaleLinear([low ?? 0, high ?? 1], [left + 8, right]).nice(4);
  const end = start + forest.rows.length * row;
  const factor = forest.unit === "share" || forest.unit === "points" ? 100 : 1;
  const ticks = x.ticks(narrow ? 4 : 5);
  const digits = digitsOf(ticks.map((tick) => factor * tick));
  const write = WRITE[forest.unit];
  return html`<g>
    <${Lines} lines=${panel.title} x=${0} y=${start - 28} class="bold" />
    ${ticks.map(
      (tick) => html`<line class="tick" x1=${x(tick)} x2=${x(tick)} y1=${start - 4} y2=${end} />
        <text class="faint" x=${x(tick)} y=${end + 16} text-anchor="middle">${number(factor * tick, digits)}${forest.unit === "share" ? " %" : ""}</text>`,
    )}
    ${forest.reference !== null && html`<line class="dash" x1=${x(forest.reference)} x2=${x(forest.reference)} y1=${start - 6} y2=${end} />
      <text class="faint" x=${x(forest.reference)} y=${start - 8} text-anchor=${x(forest.reference) > (left + right) / 2 ? "end" : "start"}>${forest.reference_name}</text>`}
    ${forest.rows.map((one, i) => {
      const middle = start + (i + 0.5) * row + (narrow ? 8 : 0);
      const named = `${one === chosen ? "bold" : ""} ${narrow ? "halo" : ""}`;
      return html`<text class=${named} x=${narrow ? 0 : left - 6} y=${narrow ? middle - 10 : middle + 4} text-anchor=${narrow ? "start" : "end"}>${one.name}${narrow ? `: ${write(one.value)}` : ""}</text>
        ${one.ci && html`<line class="whisker s1" x1=${x(one.ci[0])} x2=${x(one.ci[1])} y1=${middle} y2=${middle} />`}
        <circle class="k1" cx=${x(one.value)} cy=${middle} r=${one === chosen ? 5.5 : 4} />
        ${!narrow && html`<text class=${`faint ${named}`} x=${width} y=${middle + 4} text-anchor="end">${write(one.value)}${one.p_value === null ? "" : `, ${pText(one.p_value)}`}</text>`}`;
    })}
  </g>`;
}

/** @param {import("../data.js").Estimate} one @param {ForestOf} forest @returns {string} */
function saysOf(one, forest) {
  const write = WRITE[forest.unit];
  const chance = forest.reference_name === "chance" ? `; chance ${write(forest.reference)}` : "";
  return `${forest.title}. ${one.name}: ${estimate(one.value, one.ci, write)}${one.p_value === null ? "" : `, ${pText(one.p_value)}`}${chance}.`;
}
