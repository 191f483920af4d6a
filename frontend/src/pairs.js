// @ts-check
/** What two prompts have in common, computed from their selections. Pure functions of numbers. */
import { similarities, unitRows } from "./numbers.js";

/**
 * @typedef {object} InLayer
 * @property {number} cosine of the shares; NaN where one of them selected nothing
 * @property {number} common the sum over experts of the lesser share: 1 if both are spread alike, 0 if no expert has both
 * @property {number} both experts that both selected
 * @property {number} either experts that at least one selected
 */

/**
 * Compare what two prompts selected.
 *
 * @param {Float64Array} one (layers, width)
 * @param {Float64Array} other (layers, width)
 * @param {number} layers
 * @returns {{cosine: number, layers: InLayer[]}} over all layers, and in each
 */
export function compared(one, other, layers) {
  const width = one.length / layers;
  const counts = new Float64Array(2 * one.length);
  counts.set(one);
  counts.set(other, one.length);
  /** @param {number | null} layer */
  const cosine = (layer) => {
    const { rows, width: wide } = unitRows(counts, [2, layers, width], layer);
    return similarities(rows, wide)[1];
  };
  return {
    cosine: cosine(null),
    layers: Array.from({ length: layers }, (_, l) => {
      const [a, b] = [one, other].map((counts) => sharesIn(counts, l, width));
      let [common, both, either] = [0, 0, 0];
      for (let e = 0; e < width; e++) {
        common += Math.min(a[e], b[e]);
        if (a[e] > 0 && b[e] > 0) both += 1;
        if (a[e] > 0 || b[e] > 0) either += 1;
      }
      return { cosine: cosine(l), common, both, either };
    }),
  };
}

/**
 * Return the share of each expert in one layer; NaN where nothing was selected.
 *
 * @param {Float64Array} counts (layers, width)
 * @param {number} layer
 * @param {number} width
 * @returns {Float64Array} (width,)
 */
export function sharesIn(counts, layer, width) {
  const row = counts.slice(layer * width, (layer + 1) * width);
  const sum = row.reduce((a, b) => a + b, 0);
  return row.map((value) => (sum ? value / sum : NaN));
}
