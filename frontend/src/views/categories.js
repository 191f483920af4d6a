// @ts-check
/** How categories spread their selections over the experts of a layer. */
import { max } from "d3-array";
import { scaleBand, scaleLinear } from "d3-scale";
import { useMemo, useRef } from "preact/hooks";
import { digitsOf, number, percent } from "../format.js";
import { html } from "../html.js";
import { categoryShares } from "../numbers.js";
import { diverging } from "../parts/colours.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Matrix, Scale } from "../parts/matrix.js";
import { Saving } from "../parts/saving.js";
import { category, expert, layer } from "../state.js";
import { shortenedAll, visible } from "../visible.js";

// A share of so many times uniform, or of uniform through as many, has the strongest colour.
const MOST = 4;

/** @param {{data: import("../data.js").Data}} props */
export function CategoriesAndExperts({ data }) {
  const { facts, blocks } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const names = useMemo(() => facts.categories.names.map((name) => visible(name)), [data]);
  const experts = facts.experts[layer.value];
  const shape = /** @type {[number, number, number]} */ (blocks.selections.shape);
  const { shares, all } = useMemo(
    () => categoryShares(blocks.selections.values, shape, layer.value, experts),
    [data, layer.value],
  );
  const uniform = 1 / experts;
  const left = Math.min(130, 10 + 7 * Math.max(...names.map((name) => Math.min(name.length, 17))));
  const wide = Math.max(40, width - left - 4);
  const high = Math.max(18, Math.min(34, 320 / names.length));
  const chosen = category.value ?? 0;
  const share = expert.value === null ? null : shares[chosen][expert.value];
  const says =
    share === null || expert.value === null
      ? `Layer ${facts.layers[layer.value]}: an even spread gives each of ${experts} experts ${percent(uniform, 2)}. Choose a cell.`
      : `${names[chosen]}, expert ${expert.value} of layer ${facts.layers[layer.value]}: ${percent(share, 2)} of the selections, ` +
        `${number(share / uniform)} times uniform (${percent(uniform, 2)}); ${percent(all[expert.value], 2)} of those of all prompts.`;
  const more = html`<g>${shortenedAll(names, 17).map(
    (name, i) => html`<text x=${left - 8} y=${i * high + high / 2 + 4} text-anchor="end">${name}</text>`,
  )}${[0, Math.floor(experts / 2), experts - 1].map(
    (e) => html`<text class="faint" x=${left + ((e + 0.5) / experts) * wide} y=${names.length * high + 16} text-anchor=${e > 99 && e === experts - 1 ? "end" : "middle"}>${e}</text>`,
  )}</g>`;
  const tall = useHeight(130, { around: 560 + names.length * high });
  const x = scaleBand(Array.from({ length: experts }, (_, e) => e), [left, left + wide]).paddingInner(experts > 100 ? 0 : 0.2);
  const top = max([...shares[chosen], ...all, uniform].filter((value) => !Number.isNaN(value))) ?? uniform;
  const y = scaleLinear([0, top * 1.05], [tall, 8]);
  return html`<div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      ${width > 0 && html`<${Matrix} columns=${experts} rows=${names.length} colours=${diverging} changes=${[shares]}
        at=${(/** @type {number} */ r, /** @type {number} */ c) => 0.5 + Math.log2(Math.max(shares[r][c] / uniform, 1e-9)) / (2 * Math.log2(MOST))}
        row=${category.value} column=${expert.value} label="Categories and experts" says=${says}
        choose=${(/** @type {number} */ r, /** @type {number} */ c) => {
          category.value = r;
          expert.value = c;
        }}
        x=${left} y=${0} width=${wide} height=${names.length * high} total=${width} below=${22} more=${more} />`}
    <${Scale} colours=${diverging} low=${`≤ 1/${MOST}`} high=${`≥ ${MOST}`} middle=${`share of the selections, times uniform; the middle is 1${shares.some((row) => Number.isNaN(row[0])) ? "; blank: nothing selected" : ""}`} />
    <h3>Shares of ${names[chosen]}</h3>
      <svg class="chart" height=${tall + 24} role="img" aria-label=${`Shares of the experts of layer ${facts.layers[layer.value]} for ${names[chosen]}, beside uniform and all prompts`}>
        ${y.ticks(3).map((tick) => html`<line class="tick" x1=${left} x2=${left + wide} y1=${y(tick)} y2=${y(tick)} /><text class="faint" x=${left - 6} y=${y(tick) + 4} text-anchor="end">${percent(tick, digitsOf(y.ticks(3).map((one) => 100 * one)))}</text>`)}
        ${[...shares[chosen]].map((value, e) => html`<rect class=${e === expert.value ? "k2" : "k1"} x=${x(e)} y=${y(value || 0)} width=${x.bandwidth()} height=${tall - y(value || 0)} />`)}
        ${[...all].map((value, e) => !Number.isNaN(value) && html`<line class="here" x1=${x(e)} x2=${(x(e) ?? 0) + x.bandwidth()} y1=${y(value)} y2=${y(value)} />`)}
        <line class="dash" x1=${left} x2=${left + wide} y1=${y(uniform)} y2=${y(uniform)} />
        <text class="faint" x=${left + wide} y=${tall + 18} text-anchor="end">dashed: uniform, ${percent(uniform, 2)}; short lines: all prompts</text>
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="categories" target=${picture} numbers=${() => ({
      names: ["category", "layer", "expert", "selections", "share", "uniform", "share_of_all_prompts"],
      rows: rowsOf(data),
    })} />
  </div>`;
}

/** @param {import("../data.js").Data} data @returns {Iterable<(string | number)[]>} */
function* rowsOf({ facts, blocks }) {
  const { values, shape } = blocks.selections;
  for (let l = 0; l < facts.layers.length; l++) {
    const experts = facts.experts[l];
    const { shares, all } = categoryShares(values, /** @type {[number, number, number]} */ (shape), l, experts);
    for (const [c, name] of facts.categories.names.entries()) {
      for (let e = 0; e < experts; e++) {
        const selected = values[(c * shape[1] + l) * shape[2] + e];
        yield [name, facts.layers[l], e, selected, shares[c][e], 1 / experts, all[e]];
      }
    }
  }
}
