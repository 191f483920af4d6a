// @ts-check
/** How many pairs of prompts have which similarity, within and across categories and under random routing. */
import { max, min } from "d3-array";
import { scaleLinear } from "d3-scale";
import { useMemo, useRef, useState } from "preact/hooks";
import { digitsOf, number, whole } from "../format.js";
import { html } from "../html.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Saving } from "../parts/saving.js";
import { slider } from "../parts/slider.js";
import { within } from "../state.js";

const TOP = 8;
// Below this width names stand above their pairs.
const NARROW = 560;

/** @typedef {import("../data.js").Histogram} Histogram */

/** @param {{data: import("../data.js").Data}} props */
export function PairsByCategory({ data }) {
  const rows = data.facts.distributions;
  return rows.length > 0 && html`<${Rows} rows=${rows} />`;
}

/** @param {{rows: Histogram[]}} props */
function Rows({ rows }) {
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const range = useMemo(() => rangeOf(rows), [rows]);
  const [step, setStep] = useState(() => range.places(rows[0].mean ?? range.low));
  const narrow = width < NARROW;
  const high = useHeight(74, { around: 400, parts: rows.length });
  const left = narrow ? 14 : 150;
  const x = scaleLinear([range.low, range.high], [left, Math.max(width - 52, left + 1)]);
  const bottom = TOP + rows.length * high;
  // The stairs have a step for each bin, and stay as they are while one is chosen.
  const stairs = useMemo(
    () =>
      rows.map((row, r) => {
        const tallest = row.observed ? max(rows.filter((one) => one.observed), densityOf) : densityOf(row);
        return stairsOf(row, x, baseOf(r, high), (high - 22) / (tallest || 1));
      }),
    [rows, width, high],
  );
  const at = range.low + (step + 0.5) * range.step;
  const ticks = x.ticks(narrow ? 4 : 7);
  const says = `Similarity ${number(at, range.digits + 1)}: ${rows.map((row) => saysOf(row, at)).join("; ")}.`;
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${bottom + 40}
        ...${slider({
          ...{ label: "Similarity", says, values: [range.low, range.high, at], at: step, last: range.steps - 1, page: 10 },
          find: (across) => range.places(x.invert(across)),
          choose: setStep,
        })}
      >
        ${ticks.map((tick) => html`<line class="tick" x1=${x(tick)} x2=${x(tick)} y1=${TOP} y2=${bottom} /><text class="faint" x=${x(tick)} y=${bottom + 17} text-anchor="middle">${number(tick, digitsOf(ticks))}</text>`)}
        ${rows.map((row, r) => {
          const base = baseOf(r, high);
          const kind = row.observed ? `${r + 1}` : "";
          return html`<path class=${kind ? `band k${kind}` : "band grey"} d=${stairs[r]} />
            <path class=${kind ? `line s${kind}` : "tick edge"} d=${stairs[r]} />
            <line class="zero" x1=${left} x2=${width - 52} y1=${base} y2=${base} />
            <text class=${narrow ? "halo" : ""} x=${narrow ? left : left - 10} y=${narrow ? base - high + 20 : base - 20} text-anchor=${narrow ? "start" : "end"}>${row.name}</text>
            ${row.mean !== null && html`<line class=${kind ? `line s${kind}` : "here"} stroke-dasharray=${row.observed ? ["7 4", "2 3"][r] : undefined} x1=${x(row.mean)} x2=${x(row.mean)} y1=${kind ? TOP : base - high + 14} y2=${kind ? bottom : base} />
              <text class="faint" x=${width} y=${base - 20} text-anchor="end">${number(row.mean, 3)}</text>`}`;
        })}
        <text class="faint" x=${width} y=${TOP + 4} text-anchor="end">mean</text>
        <text x=${(left + width - 52) / 2} y=${bottom + 35} text-anchor="middle">cosine similarity of two signatures</text>
        <line class="here" x1=${x(at)} x2=${x(at)} y1=${TOP} y2=${bottom} />
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="distributions" target=${picture} numbers=${() => ({
      names: ["of", "low", "high", "pairs", "mean"],
      rows: rows.flatMap((row) => row.pairs.map((pairs, i) => [row.name, edgeOf(row, i), edgeOf(row, i + 1), pairs, row.mean])),
    })} />
  </div>`;
}

/** @param {number} r @param {number} high @returns {number} where the pairs of a row stand */
function baseOf(r, high) {
  return TOP + (r + 1) * high - 8;
}

/** @param {number} width @returns {number} the digits that tell bins of a width apart */
function digitsOfBins(width) {
  return Math.max(0, Math.ceil(-Math.log10(width) - 1e-9));
}

/** @param {Histogram} row @param {number} i @returns {number} where a bin begins: a multiple of the width */
function edgeOf({ start, width }, i) {
  return Number((start + i * width).toFixed(digitsOfBins(width)));
}

/** @param {Histogram} row @returns {number} the greatest share of pairs per unit of similarity */
function densityOf({ pairs, width }) {
  const sum = pairs.reduce((all, one) => all + one, 0);
  return sum ? Math.max(...pairs) / sum / width : 0;
}

/**
 * @param {Histogram} row
 * @param {(value: number) => number} x
 * @param {number} base
 * @param {number} factor pixels of a density of one
 * @returns {string}
 */
function stairsOf(row, x, base, factor) {
  const sum = row.pairs.reduce((all, one) => all + one, 0) || 1;
  const steps = row.pairs.map((pairs, i) => `V${base - (pairs / sum / row.width) * factor}H${x(edgeOf(row, i + 1))}`);
  return `M${x(row.start)} ${base}${steps.join("")}V${base}`;
}

/** @param {Histogram[]} rows */
function rangeOf(rows) {
  const low = min(rows, (row) => row.start) ?? 0;
  const high = max(rows, (row) => edgeOf(row, row.pairs.length)) ?? 1;
  const step = min(rows, (row) => row.width) ?? 0.01;
  const steps = Math.max(1, Math.round((high - low) / step));
  return {
    ...{ low, high, step, steps, digits: digitsOfBins(step) },
    places: (/** @type {number} */ value) => within(Math.floor((value - low) / step), 0, steps - 1),
  };
}

/** @param {Histogram} row @param {number} at @returns {string} */
function saysOf(row, at) {
  const i = Math.floor((at - row.start) / row.width);
  const pairs = row.pairs[i] ?? 0;
  const sum = row.pairs.reduce((all, one) => all + one, 0);
  const digits = digitsOfBins(row.width);
  const bin = i in row.pairs ? ` from ${number(edgeOf(row, i), digits)} to ${number(edgeOf(row, i + 1), digits)}` : "";
  return `${row.name} ${whole(pairs)} of ${whole(sum)} pairs${bin}`;
}
