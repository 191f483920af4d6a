// @ts-check
/** The load of every expert relative to balance, the busiest of each layer, and the experts of one layer. */
import { max } from "d3-array";
import { scaleBand, scaleLinear } from "d3-scale";
import { useMemo, useRef } from "preact/hooks";
import { count, digitsOf, number, whole } from "../format.js";
import { html } from "../html.js";
import { diverging } from "../parts/colours.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Matrix, Scale } from "../parts/matrix.js";
import { Saving } from "../parts/saving.js";
import { slider } from "../parts/slider.js";
import { expert, layer } from "../state.js";

// Loads beyond so many doublings from balance have the strongest colour.
const DOUBLINGS = 3;
const LEFT = 44;
const TOP = 20;
const BARS = 150;
// Crosses in narrower cells would cover each other.
const CROSSED = 5;

/** @param {{data: import("../data.js").Data}} props */
export function LoadOfExperts({ data }) {
  const { facts, blocks } = data;
  const loads = facts.loads;
  const relative = useMemo(() => (blocks.loads ? relativeOf(data) : []), [data]);
  if (!loads || !blocks.loads) return null;
  return html`<div>
    <${AllLayers} data=${data} loads=${loads} relative=${relative} /><${OneLayer} data=${data} loads=${loads} relative=${relative} />
  </div>`;
}

/** @param {{data: import("../data.js").Data, loads: import("../data.js").Load[], relative: number[][]}} props */
function AllLayers({ data, loads, relative }) {
  const { facts } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const layers = facts.layers.length;
  const most = Math.max(...facts.experts);
  const right = Math.max(70, Math.min(150, width * 0.2));
  const wide = Math.max(40, width - LEFT - right - 14);
  const high = useHeight(Math.max(layers * 14, Math.min(28 * layers, 240)), { around: 420 });
  const cell = { wide: wide / most, high: high / layers };
  const start = LEFT + wide + 14;
  const x = scaleLinear([0, Math.max(1.2, max(loads, (one) => one.max_over_mean) ?? 1)], [start, width - 2]);
  const dead = useMemo(() => relative.flatMap((row, l) => row.flatMap((value, e) => (value === 0 ? [[l, e]] : []))), [relative]);
  const crosses = useMemo(
    () => dead.map(([l, e]) => crossOf(LEFT + (e + 0.5) * cell.wide, TOP + (l + 0.5) * cell.high, cell)).join(""),
    [dead, width, high],
  );
  const lacking = facts.experts.some((size) => size < most);
  const ticks = [0, Math.floor(most / 2), most - 1];
  const bars = x.ticks(2).filter((tick) => tick > 0);
  const more = html`<g>
    ${facts.layers.map((index, l) => {
      const y = TOP + l * cell.high;
      return html`<text class=${l === layer.value ? "bold" : "faint"} x=${LEFT - 7} y=${y + cell.high / 2 + 4} text-anchor="end">${index}</text>
        ${facts.experts[l] < most && html`<rect class="lacking" x=${LEFT + facts.experts[l] * cell.wide} y=${y} width=${(most - facts.experts[l]) * cell.wide} height=${cell.high} />`}
        <rect class=${l === layer.value ? "k2" : "k1"} x=${start} y=${y + cell.high * 0.15} width=${x(loads[l].max_over_mean) - start} height=${cell.high * 0.7} />`;
    })}
    <path class="crosses" d=${crosses} />
    <line class="dash" x1=${x(1)} x2=${x(1)} y1=${TOP} y2=${TOP + high} />
    ${ticks.map((e) => html`<text class="faint" x=${LEFT + (e + 0.5) * cell.wide} y=${TOP + high + 16} text-anchor=${e > 99 && e === most - 1 ? "end" : "middle"}>${e}</text>`)}
    ${bars.map((tick) => html`<text class="faint" x=${x(tick)} y=${TOP + high + 16} text-anchor="middle">${number(tick, digitsOf(bars))}</text>`)}
    <text x=${LEFT} y=${TOP - 8}>expert →</text>
    <text x=${width - 2} y=${TOP - 8} text-anchor="end">busiest, × mean</text>
  </g>`;
  const here = loads[layer.value];
  const chosen = expert.value === null ? null : relative[layer.value][expert.value];
  const says =
    `Layer ${here.layer}: its busiest expert has ${number(here.max_over_mean)} times the mean; ` +
    `${here.dead_experts ? `${count(here.dead_experts, "expert")} never selected` : "every expert is selected"}; ` +
    `Gini ${number(here.gini, 3)}, entropy ${number(here.entropy, 3)} of its maximum.` +
    (chosen === null ? " Choose a cell." : ` Expert ${expert.value}: ${saysOf(data, layer.value, expert.value ?? 0, chosen)}.`);
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      ${width > 0 && html`<${Matrix} columns=${most} rows=${layers} colours=${diverging} changes=${[relative]}
        at=${(/** @type {number} */ l, /** @type {number} */ e) => placeOf(relative[l][e])}
        row=${layer.value} column=${expert.value} label="Load of experts" says=${says}
        choose=${(/** @type {number} */ l, /** @type {number} */ e) => {
          layer.value = l;
          expert.value = Math.min(e, facts.experts[l] - 1);
        }}
        x=${LEFT} y=${TOP} width=${wide} height=${high} total=${width} below=${22} more=${more} />`}
      <${Scale} colours=${diverging} low=${`≤ 1/${2 ** DOUBLINGS}`} high=${`≥ ${2 ** DOUBLINGS}`}
        middle=${`load relative to balance; the middle is 1${dead.length ? `; ${cell.wide < CROSSED ? "strokes" : "crosses"}: never selected` : ""}${lacking ? "; grey: no such expert" : ""}`} />
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="load" of="all layers" target=${picture} numbers=${() => ({
      names: ["layer", "expert", "selections", "times_balance"],
      rows: cellsOf(data, relative),
    })} />
  </div>`;
}

/** @param {{data: import("../data.js").Data, loads: import("../data.js").Load[], relative: number[][]}} props */
function OneLayer({ data, loads, relative }) {
  const { facts } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const here = layer.value;
  const experts = facts.experts[here];
  const row = relative[here].slice(0, experts);
  const x = scaleBand(row.map((_, e) => e), [LEFT, Math.max(width - 4, LEFT + 1)]).paddingInner(experts > 100 ? 0 : 0.2);
  const y = scaleLinear([0, Math.max(1.2, max(row) ?? 1)], [TOP + BARS, TOP]).nice(4);
  const ticks = y.ticks(4);
  const at = expert.value;
  const says =
    at === null
      ? `Choose an expert of layer ${facts.layers[here]}.`
      : `Expert ${at} of layer ${facts.layers[here]}: ${saysOf(data, here, at, row[at])}.`;
  return html`<div>
    <h3>Experts of layer ${facts.layers[here]}</h3>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${TOP + BARS + 24}
        ...${slider({
          ...{ label: "Expert", says, values: [0, experts - 1, at ?? 0], at: at ?? -1, last: experts - 1 },
          find: (across) => Math.floor(((across - LEFT) / (width - 4 - LEFT)) * experts),
          choose: (place) => {
            expert.value = place;
          },
        })}
      >
        <text x=${LEFT} y=${TOP - 8}>times the uniform load; dashed: 1</text>
        ${ticks.map((tick) => html`<line class="tick" x1=${LEFT} x2=${width - 4} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${LEFT - 7} y=${y(tick) + 4} text-anchor="end">${number(tick, digitsOf(ticks))}</text>`)}
        ${row.map((value, e) => html`<rect class=${e === at ? "k2" : "k1"} x=${x(e)} y=${y(value)} width=${x.bandwidth()} height=${TOP + BARS - y(value)} />`)}
        ${at !== null && html`<path class="here-mark" d=${`M${(x(at) ?? 0) + x.bandwidth() / 2} ${TOP + BARS + 2}l-4 7h8z`} />`}
        <path class="crosses" d=${row.map((value, e) => (value === 0 ? crossOf((x(e) ?? 0) + x.bandwidth() / 2, TOP + BARS - 5, { wide: x.bandwidth(), high: 10 }) : "")).join("")} />
        <line class="dash" x1=${LEFT} x2=${width - 4} y1=${y(1)} y2=${y(1)} />
        ${[0, Math.floor(experts / 2), experts - 1].map((e) => html`<text class="faint" x=${(x(e) ?? 0) + x.bandwidth() / 2} y=${TOP + BARS + 21} text-anchor=${e > 99 && e === experts - 1 ? "end" : "middle"}>${e}</text>`)}
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="load-layers" of="one layer" target=${picture} numbers=${() => ({
      names: ["layer", "experts", "entropy", "gini", "cv", "max_over_mean", "dead_experts"],
      rows: loads.map((one, l) => [one.layer, facts.experts[l], one.entropy, one.gini, one.cv, one.max_over_mean, one.dead_experts]),
    })} />
  </div>`;
}

/**
 * Return each load over the mean of its layer; NaN where a layer has no such expert.
 *
 * @param {import("../data.js").Data} data
 * @returns {number[][]}
 */
function relativeOf({ facts, blocks }) {
  const { values, shape } = blocks.loads;
  return facts.experts.map((size, l) => {
    const row = Array.from(values.subarray(l * shape[1], (l + 1) * shape[1]));
    const mean = row.reduce((sum, one) => sum + one, 0) / size;
    return row.map((one, e) => (e < size ? one / mean : NaN));
  });
}

/** @param {number} relative @returns {number} the place in the colours */
function placeOf(relative) {
  if (Number.isNaN(relative)) return NaN;
  return 0.5 + Math.log2(Math.max(relative, 2 ** -DOUBLINGS)) / (2 * DOUBLINGS);
}

/**
 * @param {import("../data.js").Data} data
 * @param {number} l
 * @param {number} e
 * @param {number} relative
 */
function saysOf({ blocks }, l, e, relative) {
  const selected = blocks.loads.values[l * blocks.loads.shape[1] + e];
  return selected ? `${whole(selected)} selections, ${number(relative)} times balance` : "never selected";
}

/**
 * Return a cross, or an upright stroke where a cell has no room for one.
 *
 * @param {number} x
 * @param {number} y
 * @param {{wide: number, high: number}} cell
 */
function crossOf(x, y, { wide, high }) {
  const arm = Math.min(wide, high, 14) * 0.3;
  if (wide < CROSSED) return `M${x} ${y - high * 0.35}v${high * 0.7}`;
  return `M${x - arm} ${y - arm}l${2 * arm} ${2 * arm}m0 ${-2 * arm}l${-2 * arm} ${2 * arm}`;
}

/** @param {import("../data.js").Data} data @param {number[][]} relative @returns {Iterable<(string | number)[]>} */
function* cellsOf({ facts, blocks }, relative) {
  const { values, shape } = blocks.loads;
  for (const [l, index] of facts.layers.entries()) {
    for (let e = 0; e < facts.experts[l]; e++) yield [index, e, values[l * shape[1] + e], relative[l][e]];
  }
}
