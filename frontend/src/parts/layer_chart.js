// @ts-check
/** Lines over the layers of a model, in which a layer is chosen by mouse, finger and keys. */
import { scaleLinear } from "d3-scale";
import { line } from "d3-shape";
import { digitsOf, number } from "../format.js";
import { html } from "../html.js";
import { layer } from "../state.js";
import { useHeight, useWidth } from "./hooks.js";
import { layerSlider } from "./slider.js";

const LEFT = 40;

/**
 * @param {{
 *   layers: number[], series: {values: number[], name: string, line: string, dots?: string}[], ends: [number, number],
 *   label: string, says: string, high?: number, around?: number,
 * }} props
 *   each line with its class and that of its dots, which tell the lines apart; what the chosen layer says
 */
export function LayerChart({ layers, series, ends, label, says, high = 150, around = 420 }) {
  const [holder, width] = useWidth();
  const height = useHeight(high, { around });
  const x = scaleLinear([layers[0] - 0.5, layers[layers.length - 1] + 0.5], [LEFT, Math.max(width - 8, LEFT + 1)]);
  const y = scaleLinear(ends, [height, 10]);
  const path = line((/** @type {any} */ _, i) => x(layers[i]), (/** @type {any} */ value) => y(value)).defined(
    (/** @type {any} */ value) => !Number.isNaN(value),
  );
  const here = layer.value;
  const ticks = y.ticks(4);
  return html`<div>
    <div ref=${holder}></div>
    <svg
      class="chart" height=${height + 40} ...${layerSlider({ label, says, layers, x })}
    >
      ${ticks.map((tick) => html`<line class="tick" x1=${LEFT} x2=${width - 8} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${LEFT - 6} y=${y(tick) + 4} text-anchor="end">${number(tick, digitsOf(ticks))}</text>`)}
      ${x.ticks(Math.min(layers.length, Math.max(2, Math.floor(width / 42)))).filter(Number.isInteger).map((tick) => html`<text class="faint" text-anchor="middle" x=${x(tick)} y=${height + 17}>${tick}</text>`)}
      <text x=${(LEFT + width) / 2} y=${height + 35} text-anchor="middle">MoE layer</text>
      <line class="here" x1=${x(layers[here])} x2=${x(layers[here])} y1="10" y2=${height} />
      ${series.map(({ values, line: kind, dots }) => html`<path class=${kind} fill="none" d=${path(/** @type {any} */ (values)) ?? ""} />
        ${dots && values.map((value, i) => !Number.isNaN(value) && html`<circle class=${dots} cx=${x(layers[i])} cy=${y(value)} r=${i === here ? 5 : 3} />`)}`)}
    </svg>
    <ul class="legend">${series.map(
      ({ name, line: kind, dots }) => html`<li><svg class="chart sample" viewBox="0 0 26 12" aria-hidden="true"><path class=${kind} d="M1 6H25" />${dots && html`<circle class=${dots} cx="13" cy="6" r="3" />`}</svg>${name}</li>`,
    )}</ul>
  </div>`;
}
