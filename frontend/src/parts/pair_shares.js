// @ts-check
/** The shares that experts of one layer have of two prompts: one above the line, the other below. */
import { scaleBand, scaleLinear } from "d3-scale";
import { useRef } from "preact/hooks";
import { digitsOf, percent } from "../format.js";
import { html } from "../html.js";
import { expert, layer } from "../state.js";
import { useHeight, useWidth } from "./hooks.js";
import { Saving } from "./saving.js";
import { slider } from "./slider.js";

const LEFT = 46;

/**
 * @param {{data: import("../data.js").Data, names: [string, string], shares: [Float64Array, Float64Array], ids: [string, string], unit: string}} props
 *   names and ids of the prompts, and the shares of every expert of the layer
 */
export function PairShares({ data, names, shares, ids, unit }) {
  const { facts } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const tall = useHeight(110, { around: 420, parts: 2 });
  const experts = facts.experts[layer.value];
  const uniform = 1 / experts;
  const x = scaleBand(Array.from({ length: experts }, (_, e) => e), [LEFT, Math.max(width - 4, LEFT + 1)]).paddingInner(experts > 100 ? 0 : 0.2);
  // In a layer where a prompt selected nothing, it has no share.
  const most = Math.max(uniform, ...shares.flatMap((one) => [...one].filter((value) => !Number.isNaN(value))));
  const y = scaleLinear([-most * 1.05, most * 1.05], [2 * tall, 0]);
  const ticks = y.ticks(5);
  const digits = digitsOf(ticks.map((one) => 100 * one));
  const at = expert.value;
  const says = at === null ? "Choose an expert with the arrows." : `Expert ${at} of layer ${facts.layers[layer.value]}: ${names.map((name, i) => `${percent(shares[i][at], 2)} ${unit} of ${name}`).join(", ")}; uniform is ${percent(uniform, 2)}.`;
  return html`<div>
    <h3>Experts of layer ${facts.layers[layer.value]} in both</h3>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <svg
        class="chart" height=${2 * tall + 22}
        ...${slider({
          ...{ label: "Expert, with its shares of both prompts", says, values: [0, experts - 1, at ?? 0], at: at ?? -1, last: experts - 1 },
          find: (across) => {
            const place = Math.floor((across - LEFT) / x.step());
            return place >= 0 && place < experts ? place : null;
          },
          choose: (place) => {
            expert.value = place;
          },
        })}
      >
        ${ticks.map((tick) => html`<line class="tick" x1=${LEFT} x2=${width - 4} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${LEFT - 6} y=${y(tick) + 4} text-anchor="end">${percent(Math.abs(tick), digits)}</text>`)}
        ${[1, -1].map((sign, i) =>
          [...shares[i]].map((value, e) => {
            const [from, to] = [y(0), y(sign * (value || 0))];
            return html`<rect class=${`${i ? "k2" : "k1"}${e === at ? " on" : ""}`} x=${x(e)} width=${x.bandwidth()} y=${Math.min(from, to)} height=${Math.abs(from - to)} />`;
          }),
        )}
        ${[uniform, -uniform].map((one) => html`<line class="dash" x1=${LEFT} x2=${width - 4} y1=${y(one)} y2=${y(one)} />`)}
        <line class="axis" x1=${LEFT} x2=${width - 4} y1=${y(0)} y2=${y(0)} />
        ${[0, Math.floor(experts / 2), experts - 1].map((e) => html`<text class="faint" x=${(x(e) ?? 0) + x.bandwidth() / 2} y=${2 * tall + 17} text-anchor="middle">${e}</text>`)}
      </svg>
      <ul class="legend">
        <li><span class="chip swatch k1">↑</span><bdi>${names[0]}</bdi></li><li><span class="chip swatch k2">↓</span><bdi>${names[1]}</bdi></li>
        <li>share ${unit}; across: experts; dashed: uniform, ${percent(uniform, 2)}</li>
      </ul>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="pair-experts" of="the experts of both" target=${picture} numbers=${() => ({
      names: ["layer", "expert", "prompt", "share", "other", "share_of_other", "uniform"],
      rows: Array.from({ length: experts }, (_, e) => [facts.layers[layer.value], e, ids[0], shares[0][e], ids[1], shares[1][e], uniform]),
    })} />
  </div>`;
}
