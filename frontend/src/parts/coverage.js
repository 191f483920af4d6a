// @ts-check
/** How many experts a prompt reaches in each layer, beside what chance gives. */
import { mean } from "d3-array";
import { useRef } from "preact/hooks";
import { count, number } from "../format.js";
import { html } from "../html.js";
import { layer } from "../state.js";
import { LayerChart } from "./layer_chart.js";
import { Saving } from "./saving.js";

/** @param {{data: import("../data.js").Data, which: number}} props */
export function Coverage({ data, which }) {
  const { facts, blocks } = data;
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const layers = facts.layers.length;
  const [reached, expected] = [blocks.reached.values, blocks.expected.values].map((values) =>
    Array.from(values.subarray(which * layers, (which + 1) * layers)),
  );
  const tokens = blocks.lengths.values[which];
  const known = expected.some((value) => !Number.isNaN(value));
  const here = layer.value;
  const says =
    `In layer ${facts.layers[here]} the prompt reaches ${reached[here]} of ${facts.experts[here]} experts` +
    (known
      ? `; ${number(expected[here], 1)} are expected of its ${count(tokens, "token")}, were each routed as the tokens of other prompts are. ` +
        `Over all layers: ${number(mean(reached), 1)}, expected ${number(mean(expected), 1)}.`
      : ".");
  const series = [
    { values: reached, name: "experts reached", line: "line s1", dots: "k1" },
    ...(known ? [{ values: expected, name: "expected by chance", line: "dash" }] : []),
  ];
  return html`<div>
    <h3>Experts reached, against chance</h3>
    <div ref=${picture}>
      <${LayerChart} layers=${facts.layers} series=${series} ends=${[0, Math.max(...facts.experts)]} label="Layer: experts reached" says=${says} />
    </div>
    <p class="says" aria-live="polite">${says}${known ? " Tokens of a text are not independent of each other, so fewer than expected is the rule; it is no test." : ""}</p>
    <${Saving} name="prompt-coverage" of="experts reached" target=${picture} numbers=${() => ({
      names: ["layer", "experts", "reached", "expected"],
      rows: facts.layers.map((index, i) => [index, facts.experts[i], reached[i], expected[i]]),
    })} />
  </div>`;
}
