// @ts-check
/** How many experts a prompt reaches in each layer, beside what chance gives. */
import { mean } from "d3-array";
import { scaleLinear } from "d3-scale";
import { line } from "d3-shape";
import { useRef } from "preact/hooks";
import { count, number } from "../format.js";
import { html } from "../html.js";
import { layer } from "../state.js";
import { useWidth } from "./hooks.js";
import { Saving } from "./saving.js";

const HEIGHT = 150;
const LEFT = 40;

/** @param {{data: import("../data.js").Data, which: number}} props */
export function Coverage({ data, which }) {
  const { facts, blocks } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const layers = facts.layers.length;
  const [reached, expected] = [blocks.reached.values, blocks.expected.values].map((values) =>
    Array.from(values.subarray(which * layers, (which + 1) * layers)),
  );
  const tokens = blocks.lengths.values[which];
  const x = scaleLinear([facts.layers[0] - 0.5, facts.layers[layers - 1] + 0.5], [LEFT, Math.max(width - 8, LEFT + 1)]);
  const y = scaleLinear([0, Math.max(...facts.experts)], [HEIGHT, 10]);
  const path = line((/** @type {any} */ _, i) => x(facts.layers[i]), (/** @type {any} */ value) => y(value));
  const known = expected.some((value) => !Number.isNaN(value));
  const here = layer.value;
  const says =
    `In layer ${facts.layers[here]} the prompt reaches ${reached[here]} of ${facts.experts[here]} experts` +
    (known
      ? `; ${number(expected[here], 1)} are expected of its ${count(tokens, "token")}, were each routed as the tokens of other prompts are. ` +
        `Over all layers: ${number(mean(reached), 1)}, expected ${number(mean(expected), 1)}.`
      : ".");
  return html`<div>
    <h3>Experts reached, against chance</h3>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg class="chart" height=${HEIGHT + 40} role="img" aria-label=${says}>
        ${y.ticks(4).map((tick) => html`<line class="tick" x1=${LEFT} x2=${width - 8} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${LEFT - 6} y=${y(tick) + 4} text-anchor="end">${tick}</text>`)}
        ${x.ticks(Math.min(layers, Math.max(2, Math.floor(width / 42)))).filter(Number.isInteger).map((tick) => html`<text class="faint" text-anchor="middle" x=${x(tick)} y=${HEIGHT + 17}>${tick}</text>`)}
        <text x=${(LEFT + width) / 2} y=${HEIGHT + 35} text-anchor="middle">MoE layer</text>
        ${known && html`<path class="dash" fill="none" d=${path(/** @type {any} */ (expected)) ?? ""} />`}
        <path class="line s1" d=${path(/** @type {any} */ (reached)) ?? ""} />
        ${reached.map((value, i) => html`<circle class="k1" cx=${x(facts.layers[i])} cy=${y(value)} r=${i === here ? 5 : 3} />`)}
      </svg>
    </div>
    <p class="says">${says} Line with dots: this prompt${known ? "; dashed: expected. Tokens of a text are not independent of each other, so fewer than expected is the rule; it is no test" : ""}.</p>
    <${Saving} name="prompt-coverage" target=${picture} numbers=${() => ({
      names: ["layer", "experts", "reached", "expected"],
      rows: facts.layers.map((index, i) => [index, facts.experts[i], reached[i], expected[i]]),
    })} />
  </div>`;
}
