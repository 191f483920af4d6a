// @ts-check
/** The similarity of every two prompts, and the texts of one pair. */
import { useMemo, useRef, useState } from "preact/hooks";
import { count, number, whole } from "../format.js";
import { html } from "../html.js";
import { similarities, unitRows } from "../numbers.js";
import { sequential } from "../parts/colours.js";
import { useHeight, useWidth } from "../parts/hooks.js";
import { Matrix, Scale } from "../parts/matrix.js";
import { Saving } from "../parts/saving.js";
import { layer, other, prompt } from "../state.js";
import { shortenedAll, visible } from "../visible.js";

const LEFT = 12;
const MOST = 620;

/** @param {{data: import("../data.js").Data}} props */
export function SimilarityOfPrompts({ data }) {
  const [ofLayer, setOfLayer] = useState(false);
  const [holder, width] = useWidth();
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const { matrix, facts } = data;
  const at = ofLayer ? layer.value : null;
  const found = useMemo(() => matrixOf(data, at), [data, at]);
  const size = matrix.length;
  const places = useMemo(() => new Map(matrix.map((one, i) => [one, i])), [data]);
  const row = places.get(prompt.value) ?? null;
  const column = other.value === null ? null : (places.get(other.value) ?? null);
  const blocks = useMemo(() => runsOf(data), [data]);
  const side = Math.max(40, Math.min(width - LEFT, useHeight(MOST)));
  const label = Math.max(...blocks.map((one) => one.name.length), 1) * 7;
  const turned = blocks.some((one) => (one.size / size) * side < one.name.length * 7.2);
  const name = at === null ? "all layers" : `layer ${facts.layers[at]}`;
  const pair = row !== null && column !== null ? found.values[row * size + column] : null;
  const says =
    row === null
      ? "The chosen prompt is not in this matrix."
      : column === null
        ? "Choose a cell to compare two prompts."
        : row === column
          ? `${visible(data.prompts.ids[prompt.value])} with itself: left out.`
          : `${visible(data.prompts.ids[matrix[row]])} and ${visible(data.prompts.ids[matrix[column]])}: cosine similarity ${number(pair, 4)} (${name}).`;
  const below = turned ? label + 10 : 22;
  const lines = blocks.slice(1).map((one) => LEFT + (one.start / size) * side);
  const more = html`<g>
    ${lines.map((x) => html`<line class="edge" x1=${x} x2=${x} y1="0" y2=${side} /><line class="edge" x1=${LEFT} x2=${LEFT + side} y1=${x - LEFT} y2=${x - LEFT} />`)}
    ${blocks.map((one) => {
      const middle = LEFT + ((one.start + one.size / 2) / size) * side;
      return turned
        ? html`<text x=${middle} y=${side + 8} text-anchor="end" transform=${`rotate(-90 ${middle} ${side + 8})`} dominant-baseline="middle">${one.name}</text>`
        : html`<text x=${middle} y=${side + 16} text-anchor="middle">${one.name}</text>`;
    })}
  </g>`;
  return html`<div class="beside">
    <div class="controls">
      <span class="group" role="group" aria-label="Layers of the signatures">
        <button type="button" aria-pressed=${!ofLayer} onClick=${() => setOfLayer(false)}>All layers</button>
        <button type="button" aria-pressed=${ofLayer} onClick=${() => setOfLayer(true)}>Layer ${facts.layers[layer.value]}</button>
      </span>
      <span>${count(size, "prompt")}${size < facts.prompts ? `, drawn at random of ${whole(facts.prompts)}` : ""}</span>
    </div>
    <div class="measure" ref=${holder}></div>
    <div class="picture" ref=${picture}>
      ${width > 0 && html`<${Matrix} columns=${size} rows=${size} colours=${() => sequential} changes=${[found]}
        at=${(/** @type {number} */ r, /** @type {number} */ c) => (r === c ? NaN : (found.values[r * size + c] - found.low) / (found.high - found.low || 1))}
        row=${row} column=${column} label="Similarity of prompts" says=${says}
        choose=${(/** @type {number} */ r, /** @type {number} */ c) => {
          prompt.value = matrix[r];
          other.value = matrix[c];
        }}
        x=${LEFT} y=${0} width=${side} height=${side} total=${width} below=${below} more=${more} />`}
      <${Scale} colours=${() => sequential} low=${number(found.low, 2)} high=${number(found.high, 2)} middle=${`cosine similarity, ${name}${found.lacking ? "; blank: a prompt selected nothing there" : ""}`} />
    </div>
    <p class="says" aria-live="polite">${says}</p>
    ${row !== null && column !== null && row !== column && html`<div class="pair">
      <${Text} data=${data} prompt=${matrix[row]} /><${Text} data=${data} prompt=${matrix[column]} />
    </div>`}
    <${Saving} name="similarity" target=${picture} numbers=${() => ({
      names: ["prompt", "other", "category", "other_category", "similarity"],
      rows: pairsOf(data, found.values),
    })} />
  </div>`;
}

/**
 * The text of a prompt, and what the model wrote after it.
 *
 * @param {{data: import("../data.js").Data, prompt: number}} props
 */
export function Text({ data, prompt: which }) {
  const { ids, categories, texts, outputs } = data.prompts;
  const [text, output] = [texts?.[which], outputs?.[which]];
  return html`<article>
    <h3><bdi>${visible(ids[which])}</bdi> · <bdi>${visible(categories[which])}</bdi></h3>
    ${text === undefined ? html`<p class="text">The signatures hold no texts.</p>` : html`<p class="text" tabindex="0" dir="auto">${visible(text, "\n")}</p>`}
    ${output ? html`<p class="text written" tabindex="0" dir="auto">${visible(output, "\n")}</p>` : null}
  </article>`;
}

/**
 * @param {import("../data.js").Data} data
 * @param {number | null} at
 * @returns {{values: Float64Array, low: number, high: number, lacking: boolean}} `lacking` where a pair has none
 */
function matrixOf(data, at) {
  const { values, shape } = data.blocks.counts;
  const size = shape[1] * shape[2];
  const counts = new Float64Array(data.matrix.length * size);
  data.matrix.forEach((prompt, i) => {
    const place = data.wholeAt.get(prompt) ?? 0;
    counts.set(values.subarray(place * size, (place + 1) * size), i * size);
  });
  const { rows, width } = unitRows(counts, [data.matrix.length, shape[1], shape[2]], at);
  const found = similarities(rows, width);
  let [low, high] = [Infinity, -Infinity];
  let lacking = false;
  for (let p = 0; p < data.matrix.length; p++) {
    for (let q = 0; q < p; q++) {
      const value = found[p * data.matrix.length + q];
      if (Number.isNaN(value)) lacking = true;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return high >= low ? { values: found, low, high, lacking } : { values: found, low: 0, high: 1, lacking };
}

/** @param {import("../data.js").Data} data @returns {{name: string, start: number, size: number}[]} */
function runsOf(data) {
  /** @type {{name: string, start: number, size: number}[]} */
  const runs = [];
  const names = shortenedAll(data.facts.categories.names.map((name) => visible(name)), 24);
  let before = -2;
  data.matrix.forEach((prompt, i) => {
    const category = data.categoryOf[prompt];
    if (category !== before) {
      runs.push({ name: names[category], start: i, size: 0 });
    }
    runs[runs.length - 1].size += 1;
    before = category;
  });
  return runs;
}

/**
 * @param {import("../data.js").Data} data
 * @param {Float64Array} values
 * @returns {Iterable<(string | number)[]>}
 */
function* pairsOf(data, values) {
  const { ids, categories } = data.prompts;
  const size = data.matrix.length;
  for (let p = 0; p < size; p++) {
    for (let q = p + 1; q < size; q++) {
      const [a, b] = [data.matrix[p], data.matrix[q]];
      yield [ids[a], ids[b], categories[a], categories[b], values[p * size + q]];
    }
  }
}
