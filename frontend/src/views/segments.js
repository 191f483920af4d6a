// @ts-check
/** Tokens and selections of each segment, by category and by expert. */
import { max } from "d3-array";
import { scaleLinear } from "d3-scale";
import { useMemo, useRef, useState } from "preact/hooks";
import { number, percent, whole } from "../format.js";
import { html } from "../html.js";
import { diverging } from "../parts/colours.js";
import { useWidth } from "../parts/hooks.js";
import { Matrix, Scale } from "../parts/matrix.js";
import { Saving } from "../parts/saving.js";
import { slider } from "../parts/slider.js";
import { category, expert, layer } from "../state.js";
import { shortenedAll, visible } from "../visible.js";

const MOST = 4;
const BAR = 11;
const GAP = 8;
const TOP = 8;

/** @typedef {import("../data.js").BySegment} BySegment */

/** @param {{data: import("../data.js").Data}} props */
export function Segments({ data }) {
  const found = data.facts.by_segment;
  return found && html`<div><${ByCategory} data=${data} found=${found} /><${ByExpert} data=${data} found=${found} /></div>`;
}

/** @param {{data: import("../data.js").Data, found: BySegment}} props */
function ByCategory({ data, found }) {
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [unit, setUnit] = useState(/** @type {"tokens" | "selections"} */ ("tokens"));
  // The analysis may leave categories out that no selected token has; they cannot be chosen.
  const places = useMemo(() => found.categories.map((name) => data.facts.categories.names.indexOf(name)), [data]);
  const names = useMemo(() => found.categories.map((name) => visible(name)), [data]);
  const row = found.segments.length * BAR + GAP;
  const left = Math.min(150, 14 + 7 * Math.max(...names.map((name) => Math.min(name.length, 18))));
  const values = found[unit];
  const right = Math.max(width - 74, left + 1);
  const x = scaleLinear([0, max(values.flat()) || 1], [left, right]);
  const here = Math.max(0, category.value === null ? 0 : places.indexOf(category.value));
  const sum = values[here].reduce((all, one) => all + one, 0);
  const says = `${names[here]}: ${found.segments
    .map((name, s) => `${visible(name)} ${whole(values[here][s])} (${percent(sum ? values[here][s] / sum : 0)})`)
    .join(", ")} ${unit}.`;
  return html`<div>
    <div class="controls">
      <span class="group" role="group" aria-label="What is counted">
        <button type="button" aria-pressed=${unit === "tokens"} onClick=${() => setUnit("tokens")}>Tokens</button>
        <button type="button" aria-pressed=${unit === "selections"} onClick=${() => setUnit("selections")}>Selections</button>
      </span>
    </div>
    <div ref=${holder}></div>
    <div ref=${picture}>
      <ul class="legend">
        <li>From above in each category:</li>
        ${found.segments.map((name, s) => html`<li><svg viewBox="0 0 16 16" aria-hidden="true"><rect class=${`k${s + 1}`} y="4" width="16" height="8" /></svg>${visible(name)}</li>`)}
      </ul>
      <svg
        class="chart" height=${TOP + names.length * row + 4}
        ...${slider({
          ...{ label: "Category", says, values: [1, names.length, here + 1], at: here, last: names.length - 1, vertical: true },
          find: (_, down) => Math.floor((down - TOP) / row),
          choose: (place) => {
            if (places[place] >= 0) category.value = places[place];
          },
        })}
      >
        ${shortenedAll(names, 18).map((name, c) => {
          const top = TOP + c * row;
          return html`${c === here && html`<rect class="row" x="0" y=${top - GAP / 2} width=${width} height=${row} />`}
            <text class=${c === here ? "bold" : ""} x=${left - 8} y=${top + (row - GAP) / 2 + 4} text-anchor="end">${name}</text>
            ${values[c].map((value, s) => html`<rect class=${`k${s + 1}`} x=${left} y=${top + s * BAR + 1} width=${x(value) - left} height=${BAR - 2} />
              <text class="faint small" x=${x(value) + 5} y=${top + s * BAR + BAR - 2}>${whole(value)}</text>`)}`;
        })}
      </svg>
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="segments" of="tokens by category" target=${picture} numbers=${() => ({
      names: ["category", "segment", "tokens", "selections"],
      rows: found.categories.flatMap((name, c) =>
        found.segments.map((segment, s) => [name, segment, found.tokens[c][s], found.selections[c][s]]),
      ),
    })} />
  </div>`;
}

/** @param {{data: import("../data.js").Data, found: BySegment}} props */
function ByExpert({ data, found }) {
  const { facts, blocks } = data;
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [row, setRow] = useState(0);
  const here = layer.value;
  const experts = facts.experts[here];
  const names = found.segments.map((name) => visible(name));
  const shares = useMemo(() => sharesOf(blocks["segment-loads"], here, experts), [data, here]);
  const left = 14 + 7 * Math.max(...names.map((name) => Math.min(name.length, 17)));
  const wide = Math.max(40, width - left - 4);
  const high = names.length * 30;
  const at = expert.value;
  const says =
    at === null
      ? `Layer ${facts.layers[here]}: an even spread gives each of ${experts} experts ${percent(1 / experts, 2)}. Choose a cell.`
      : `Expert ${at} of layer ${facts.layers[here]}: ${names
          .map((name, s) => `${percent(shares[s][at], 2)} of the selections of ${name} (${number(shares[s][at] * experts)} times uniform)`)
          .join(", ")}.`;
  const more = html`<g>
    ${shortenedAll(names, 17).map((name, s) => html`<text x=${left - 8} y=${s * 30 + 19} text-anchor="end">${name}</text>`)}
    ${[0, Math.floor(experts / 2), experts - 1].map((e) => html`<text class="faint" x=${left + ((e + 0.5) / experts) * wide} y=${high + 16} text-anchor=${e > 99 && e === experts - 1 ? "end" : "middle"}>${e}</text>`)}
  </g>`;
  return html`<div>
    <h3>Experts of layer ${facts.layers[here]} by segment</h3>
    <div ref=${holder}></div>
    <div ref=${picture}>
      ${width > 0 && html`<${Matrix} columns=${experts} rows=${names.length} colours=${diverging} changes=${[shares]}
        at=${(/** @type {number} */ s, /** @type {number} */ e) => 0.5 + Math.log2(Math.max(shares[s][e] * experts, 1e-9)) / (2 * Math.log2(MOST))}
        row=${row} column=${at} label="Segments and experts" says=${says}
        choose=${(/** @type {number} */ s, /** @type {number} */ e) => {
          setRow(s);
          expert.value = e;
        }}
        x=${left} y=${0} width=${wide} height=${high} total=${width} below=${22} more=${more} />`}
      <${Scale} colours=${diverging} low=${`≤ 1/${MOST}`} high=${`≥ ${MOST}`} middle=${`share of the selections, times uniform; the middle is 1${shares.some((row) => Number.isNaN(row[0])) ? "; blank: nothing selected" : ""}`} />
    </div>
    <p class="says" aria-live="polite">${says}</p>
    <${Saving} name="segments-experts" of="experts by segment" target=${picture} numbers=${() => ({
      names: ["layer", "segment", "expert", "selections", "share"],
      rows: rowsOf(data, found),
    })} />
  </div>`;
}

/** @param {import("../data.js").Block} block @param {number} l @param {number} experts @returns {number[][]} the share of each expert, by segment */
function sharesOf({ values, shape }, l, experts) {
  return Array.from({ length: shape[0] }, (_, s) => {
    const from = (s * shape[1] + l) * shape[2];
    const row = Array.from(values.subarray(from, from + experts));
    const sum = row.reduce((all, one) => all + one, 0);
    return row.map((one) => (sum ? one / sum : NaN));
  });
}

/** @param {import("../data.js").Data} data @param {BySegment} found @returns {Iterable<(string | number)[]>} */
function* rowsOf({ facts, blocks }, found) {
  const block = blocks["segment-loads"];
  for (const [l, index] of facts.layers.entries()) {
    const shares = sharesOf(block, l, facts.experts[l]);
    for (const [s, segment] of found.segments.entries()) {
      for (let e = 0; e < facts.experts[l]; e++) {
        yield [index, segment, e, block.values[(s * block.shape[1] + l) * block.shape[2] + e], shares[s][e]];
      }
    }
  }
}
