// @ts-check
/** Panels over the layers, one below the other, in which the shared layer is chosen by mouse and by keys. */
import { extent } from "d3-array";
import { scaleLinear } from "d3-scale";
import { area, line, symbol, symbolCircle, symbolSquare, symbolTriangle } from "d3-shape";
import { digitsOf } from "../format.js";
import { html } from "../html.js";
import { layer } from "../state.js";
import { useHeight } from "./hooks.js";
import { LINE, Lines, linesOf } from "./lines.js";
import { layerSlider } from "./slider.js";

const GAP = 22;
const LEFT = 58;
const HEAD = 22;
const SHAPES = { circle: symbolCircle, square: symbolSquare, triangle: symbolTriangle };

/**
 * @typedef {object} Panel
 * @property {string} name
 * @property {{values: (number | null)[], colour: number, shape: "circle" | "square" | "triangle"}[]} lines
 * @property {{ends: (readonly [number, number] | null)[], colour?: number, grey?: boolean}} [band]
 * @property {number} reach how far the axis reaches at least, from zero
 * @property {number[]} [dashes] where dashed lines stand
 * @property {(value: number, digits: number) => string} write
 */

/** @param {{data: import("../data.js").Data, panels: Panel[], width: number, says: string}} props */
export function LayerPanels({ data, panels, width, says }) {
  const { layers } = data.facts;
  const x = scaleLinear([layers[0] - 0.5, layers[layers.length - 1] + 0.5], [LEFT, Math.max(width - 8, LEFT + 1)]);
  const high = useHeight(150, { around: 480, parts: panels.length });
  const names = panels.map((panel) => linesOf(panel.name, width - LEFT));
  let bottom = -GAP;
  const tops = names.map((lines) => {
    const top = bottom + GAP + HEAD + (lines.length - 1) * LINE;
    bottom = top + high;
    return top;
  });
  const ticks = x.ticks(Math.min(layers.length, Math.max(2, Math.floor(width / 42)))).filter(Number.isInteger);
  return html`<svg
    class="chart" height=${bottom + 40} ...${layerSlider({ label: "Layer", says, layers, x })}
  >
    ${panels.map((panel, i) => html`<${Drawn} panel=${panel} name=${names[i]} top=${tops[i]} high=${high} x=${x} layers=${layers} width=${width} />`)}
    ${ticks.map((tick) => html`<text x=${x(tick)} y=${bottom + 18} text-anchor="middle" class="faint">${tick}</text>`)}
    <text x=${(LEFT + width) / 2} y=${bottom + 36} text-anchor="middle">MoE layer (index in the model)</text>
    <line class="here" x1=${x(layers[layer.value])} x2=${x(layers[layer.value])} y1=${tops[0]} y2=${bottom} />
  </svg>`;
}

/** @param {{panel: Panel, name: string[], top: number, high: number, x: import("d3-scale").ScaleLinear<number, number>, layers: number[], width: number}} props */
function Drawn({ panel, name, top, high, x, layers, width }) {
  const every = [...panel.lines.flatMap((one) => one.values), ...(panel.band?.ends ?? []).flat(), ...(panel.dashes ?? [])];
  const [least, most] = extent(every.filter((value) => value !== null));
  const y = scaleLinear([Math.min(0, least ?? 0), Math.max(panel.reach, most ?? 0)], [top + high, top]).nice(4);
  const ticks = y.ticks(4);
  const digits = digitsOf(ticks);
  const path = line((/** @type {any} */ _, i) => x(layers[i]), (/** @type {any} */ value) => y(value)).defined(
    (/** @type {any} */ value) => value !== null,
  );
  const band = area()
    .defined((/** @type {any} */ ends) => ends !== null)
    .x((/** @type {any} */ _, i) => x(layers[i]))
    .y0((/** @type {any} */ ends) => y(ends[0]))
    .y1((/** @type {any} */ ends) => y(ends[1]));
  const size = layers.length > 40 ? 22 : 40;
  return html`<g>
    <${Lines} lines=${name} x=${LEFT} y=${top - 9} />
    ${ticks.map(
      (tick) => html`<line class="tick" x1=${LEFT} x2=${width - 8} y1=${y(tick)} y2=${y(tick)} />
        <text class="faint" x=${LEFT - 7} y=${y(tick) + 4} text-anchor="end">${panel.write(tick, digits)}</text>`,
    )}
    <line class="zero" x1=${LEFT} x2=${width - 8} y1=${y(0)} y2=${y(0)} />
    ${panel.band && html`<path class=${panel.band.grey ? "band grey" : `band k${panel.band.colour}`} d=${band(/** @type {any} */ (panel.band.ends)) ?? ""} />`}
    ${(panel.dashes ?? []).map((value) => html`<line class="dash" x1=${LEFT} x2=${width - 8} y1=${y(value)} y2=${y(value)} />`)}
    ${panel.lines.map(
      (one) => html`<path class=${`line s${one.colour}`} d=${path(/** @type {any} */ (one.values)) ?? ""} />
        ${one.values.map((value, i) => value !== null && html`<path class=${`k${one.colour}`} transform=${`translate(${x(layers[i])} ${y(value)})`} d=${symbol(SHAPES[one.shape], i === layer.value ? 100 : size)() ?? ""} />`)}`,
    )}
  </g>`;
}
