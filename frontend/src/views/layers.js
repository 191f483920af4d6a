// @ts-check
/** Effect size and accuracy of every layer, with their intervals. */
import { extent, max, min } from "d3-array";
import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import { useRef } from "preact/hooks";
import { digitsOf, estimate, number, percent, pText } from "../format.js";
import { html } from "../html.js";
import { useWidth } from "../parts/hooks.js";
import { Saving } from "../parts/saving.js";
import { layer, within } from "../state.js";

const HEIGHT = 150;
const GAP = 44;
const LEFT = 46;
const TOP = 22;

/** @typedef {import("../data.js").Effect} Effect */

/** @param {{data: import("../data.js").Data}} props */
export function Layers({ data }) {
  const { effects, chance, layers } = data.facts;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const x = scaleLinear([layers[0] - 0.5, layers[layers.length - 1] + 0.5], [LEFT, Math.max(width - 8, LEFT + 1)]);
  const ends = effects.flatMap((one) => [one.cohens_d, ...(one.cohens_d_ci ?? [])]).filter((value) => value !== null);
  const d = scaleLinear([Math.min(0, min(ends) ?? 0), Math.max(0.1, max(ends) ?? 1)], [TOP + HEIGHT, TOP]).nice(4);
  const top = TOP + HEIGHT + GAP;
  const accuracy = scaleLinear([0, 1], [top + HEIGHT, top]);
  const known = effects.some((one) => one.accuracy !== null);
  const bottom = known ? top + HEIGHT : TOP + HEIGHT;
  const here = effects[layer.value];
  const says =
    `Layer ${here.layer}: d = ${estimate(here.cohens_d, here.cohens_d_ci)}, ${pText(here.p_value_corrected)}` +
    (here.p_value_corrected === null ? "" : ` adjusted for ${layers.length} layers`) +
    (known ? `; accuracy ${estimate(here.accuracy, here.accuracy_ci, percent)}` : "") +
    (known && chance !== null ? `, chance ${percent(chance)}.` : ".");
  /** @param {PointerEvent} event */
  const point = (event) => {
    const box = /** @type {SVGElement} */ (event.currentTarget).getBoundingClientRect();
    if (event.type === "pointermove" && event.buttons === 0) return;
    const at = x.invert(event.clientX - box.x);
    layer.value = layers.reduce((best, value, i) => (Math.abs(value - at) < Math.abs(layers[best] - at) ? i : best), 0);
  };
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    /** @type {Record<string, number>} */
    const moves = {
      ArrowLeft: layer.value - 1,
      ArrowDown: layer.value - 1,
      ArrowRight: layer.value + 1,
      ArrowUp: layer.value + 1,
      Home: 0,
      End: layers.length - 1,
    };
    if (!(event.key in moves)) return;
    event.preventDefault();
    layer.value = within(moves[event.key], 0, layers.length - 1);
  };
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${bottom + 40} tabindex="0" role="slider" aria-label="Layer" aria-valuemin=${layers[0]}
        aria-valuemax=${layers[layers.length - 1]} aria-valuenow=${here.layer} aria-valuetext=${says}
        onPointerDown=${point} onPointerMove=${point} onKeyDown=${press}
      >
        <${Panel} x=${x} y=${d} effects=${effects} value="cohens_d" ends="cohens_d_ci" colour=${1} name="effect size (Cohen's d)"
          write=${(/** @type {number} */ v) => number(v, digitsOf(d.ticks(4)))} zero=${0} width=${width} />
        ${known && html`<${Panel} x=${x} y=${accuracy} effects=${effects} value="accuracy" ends="accuracy_ci" colour=${2}
          name=${chance === null ? "accuracy" : `accuracy of the classifier; dashed: chance, ${percent(chance)}`}
          write=${(/** @type {number} */ v) => percent(v, 0)} dash=${chance} width=${width} />`}
        ${x.ticks(Math.min(layers.length, Math.max(2, Math.floor(width / 42)))).filter(Number.isInteger).map(
          (tick) => html`<text x=${x(tick)} y=${bottom + 18} text-anchor="middle" class="faint">${tick}</text>`,
        )}
        <text x=${(LEFT + width) / 2} y=${bottom + 36} text-anchor="middle">MoE layer (index in the model)</text>
        <line class="here" x1=${x(here.layer)} x2=${x(here.layer)} y1=${TOP} y2=${bottom} />
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="layers" target=${picture} numbers=${() => ({
      names: ["layer", "within", "across", "cohens_d", "cohens_d_low", "cohens_d_high", "accuracy", "accuracy_low", "accuracy_high", "p_value", "p_value_corrected"],
      rows: effects.map((one) => [
        one.layer, one.within, one.across, one.cohens_d, one.cohens_d_ci?.[0], one.cohens_d_ci?.[1], one.accuracy,
        one.accuracy_ci?.[0], one.accuracy_ci?.[1], one.p_value, one.p_value_corrected,
      ]),
    })} />
  </div>`;
}

/**
 * @param {{
 *   x: import("d3-scale").ScaleLinear<number, number>, y: import("d3-scale").ScaleLinear<number, number>,
 *   effects: Effect[], value: "cohens_d" | "accuracy", ends: "cohens_d_ci" | "accuracy_ci", colour: number, name: string,
 *   write: (value: number) => string, zero?: number, dash?: number | null, width: number,
 * }} props
 */
function Panel({ x, y, effects, value, ends, colour, name, write, zero, dash, width }) {
  const [bottom] = extent(y.range());
  const band = area()
    .defined((/** @type {any} */ one) => one[ends] !== null)
    .x((/** @type {any} */ one) => x(one.layer))
    .y0((/** @type {any} */ one) => y(one[ends][0]))
    .y1((/** @type {any} */ one) => y(one[ends][1]));
  const path = line()
    .defined((/** @type {any} */ one) => one[value] !== null)
    .x((/** @type {any} */ one) => x(one.layer))
    .y((/** @type {any} */ one) => y(one[value]));
  const rows = /** @type {any} */ (effects);
  return html`<g>
    <text x=${LEFT} y=${(bottom ?? 0) - 9}>${name}</text>
    ${y.ticks(4).map(
      (tick) => html`<line class="tick" x1=${LEFT} x2=${width - 8} y1=${y(tick)} y2=${y(tick)} />
        <text class="faint" x=${LEFT - 7} y=${y(tick) + 4} text-anchor="end">${write(tick)}</text>`,
    )}
    ${zero !== undefined && html`<line class="zero" x1=${LEFT} x2=${width - 8} y1=${y(zero)} y2=${y(zero)} />`}
    <path class=${`band k${colour}`} d=${band(rows) ?? ""} />
    ${dash !== null && dash !== undefined && html`<line class="dash" x1=${LEFT} x2=${width - 8} y1=${y(dash)} y2=${y(dash)} />`}
    <path class=${`line s${colour}`} d=${path(rows) ?? ""} />
    ${effects.map(
      (one, i) =>
        one[value] !== null &&
        html`<circle class=${`k${colour}`} cx=${x(one.layer)} cy=${y(one[value] ?? 0)} r=${i === layer.value ? 5.5 : 3.2} />`,
    )}
  </g>`;
}
