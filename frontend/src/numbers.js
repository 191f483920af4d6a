// @ts-check
/** What views draw, computed from the data of the page. Pure functions of numbers. */

/** @typedef {ArrayLike<number>} Numbers */

/**
 * Return signatures of unit length: in each layer the share of each expert, of all layers or of one.
 *
 * @param {Numbers} counts (prompts, layers, experts)
 * @param {readonly [number, number, number]} shape
 * @param {number | null} layer the place of a layer, or null for all
 * @returns {{rows: Float64Array, width: number}} (prompts, width)
 */
export function unitRows(counts, [prompts, layers, experts], layer) {
  const [first, last] = layer === null ? [0, layers] : [layer, layer + 1];
  const width = (last - first) * experts;
  const rows = new Float64Array(prompts * width);
  for (let p = 0; p < prompts; p++) {
    let squares = 0;
    for (let l = first; l < last; l++) {
      const from = (p * layers + l) * experts;
      const to = p * width + (l - first) * experts;
      let sum = 0;
      for (let e = 0; e < experts; e++) sum += counts[from + e];
      if (sum === 0) continue;
      for (let e = 0; e < experts; e++) {
        const share = counts[from + e] / sum;
        rows[to + e] = share;
        squares += share * share;
      }
    }
    if (squares > 0) {
      const length = Math.sqrt(squares);
      for (let i = p * width; i < (p + 1) * width; i++) rows[i] /= length;
    }
  }
  return { rows, width };
}

/**
 * Return the cosine similarity of every two rows of unit length; a row of zeros is similar to none: NaN.
 *
 * @param {Float64Array} rows
 * @param {number} width
 * @returns {Float64Array} (prompts, prompts)
 */
export function similarities(rows, width) {
  const prompts = rows.length / width;
  const found = new Float64Array(prompts * prompts);
  const empty = Array.from({ length: prompts }, (_, p) => !rows.subarray(p * width, (p + 1) * width).some((x) => x > 0));
  for (let p = 0; p < prompts; p++) {
    found[p * prompts + p] = 1;
    for (let q = 0; q < p; q++) {
      let sum = 0;
      const a = p * width;
      const b = q * width;
      for (let i = 0; i < width; i++) sum += rows[a + i] * rows[b + i];
      const value = empty[p] || empty[q] ? NaN : sum;
      found[p * prompts + q] = value;
      found[q * prompts + p] = value;
    }
  }
  return found;
}

/**
 * Return the shares of experts among the selections of each category in a layer.
 *
 * @param {Numbers} selections (categories, layers, width)
 * @param {readonly [number, number, number]} shape
 * @param {number} layer its place
 * @param {number} experts of this layer
 * @returns {{shares: Float64Array[], all: Float64Array}} of each category, and of all together
 */
export function categoryShares(selections, [categories, layers, width], layer, experts) {
  const together = new Float64Array(experts);
  const shares = [];
  for (let c = 0; c < categories; c++) {
    const from = (c * layers + layer) * width;
    const row = new Float64Array(experts);
    for (let e = 0; e < experts; e++) {
      row[e] = selections[from + e];
      together[e] += row[e];
    }
    shares.push(normalised(row));
  }
  return { shares, all: normalised(together) };
}

/** @param {Float64Array} row @returns {Float64Array} */
function normalised(row) {
  const sum = row.reduce((a, b) => a + b, 0);
  return sum > 0 ? row.map((value) => value / sum) : row.map(() => NaN);
}

/**
 * Return the sum over the experts of each layer.
 *
 * @param {Numbers} counts (layers, width)
 * @param {number} layers
 * @param {number} width
 * @returns {Float64Array} (layers,)
 */
export function layerSums(counts, layers, width) {
  return Float64Array.from({ length: layers }, (_, l) => {
    let sum = 0;
    for (let e = 0; e < width; e++) sum += counts[l * width + e];
    return sum;
  });
}

/**
 * Return the experts that most of a prompt's tokens were sent to in a layer, with their tokens; ties by number.
 *
 * @param {Numbers} experts (tokens, layers, k)
 * @param {{start: number, end: number, layers: number, k: number, none: number}} where tokens of the prompt, and what
 *   stands for no expert
 * @param {number} layer its place
 * @param {{first: boolean, most: number}} how whether only the first choice of each token counts, and how many
 * @returns {{expert: number, tokens: number}[]}
 */
export function leadingExperts(experts, { start, end, layers, k, none }, layer, { first, most }) {
  /** @type {Map<number, number>} */
  const found = new Map();
  for (let t = start; t < end; t++) {
    const from = (t * layers + layer) * k;
    for (let j = 0; j < (first ? Math.min(1, k) : k); j++) {
      const expert = experts[from + j];
      if (expert !== none) found.set(expert, (found.get(expert) ?? 0) + 1);
    }
  }
  return [...found]
    .sort((a, b) => b[1] - a[1] || a[0] - b[0])
    .slice(0, most)
    .map(([expert, tokens]) => ({ expert, tokens }));
}

/**
 * Return how much the experts of a token belong to each category: the mean over its experts of each category's part of
 * the expert's rates, where a rate is the expert's share of the selections of a category. It is 1 / categories for
 * experts that all categories use alike, of which those without a share, since they have no other prompt, are none.
 *
 * @param {readonly number[]} experts of the token
 * @param {readonly Float64Array[]} shares of each category
 * @returns {number[]} of each category; NaN for one without shares, and where no category selected any of the experts
 */
export function affinity(experts, shares) {
  const found = shares.map(() => 0);
  let counted = 0;
  for (const expert of experts) {
    let sum = 0;
    for (const row of shares) sum += row[expert] || 0;
    if (sum === 0) continue;
    counted += 1;
    shares.forEach((row, c) => {
      found[c] += (row[expert] || 0) / sum;
    });
  }
  return found.map((value, c) => (counted && !Number.isNaN(shares[c][0]) ? value / counted : NaN));
}

/**
 * Return the selections of the other prompts of each category in a layer: those of one prompt are left out of its own.
 *
 * @param {Numbers} selections (categories, layers, width)
 * @param {readonly [number, number, number]} shape
 * @param {number} layer its place
 * @param {{category: number, counts: Numbers}} own the prompt's category, and its selections in this layer
 * @returns {Float64Array[]} shares of each category; NaN where nothing is left
 */
export function sharesWithout(selections, [categories, layers, width], layer, own) {
  const shares = [];
  for (let c = 0; c < categories; c++) {
    const from = (c * layers + layer) * width;
    const row = new Float64Array(width);
    for (let e = 0; e < width; e++) {
      row[e] = Math.max(0, selections[from + e] - (c === own.category ? own.counts[e] : 0));
    }
    shares.push(normalised(row));
  }
  return shares;
}

/**
 * Return the place of the nearest point in a direction; the same place if there is none.
 *
 * @param {readonly (readonly [number, number])[]} points
 * @param {number} from
 * @param {readonly [number, number]} direction a unit vector
 * @returns {number}
 */
export function nearest(points, from, [dx, dy]) {
  let best = from;
  let least = Infinity;
  points.forEach(([x, y], i) => {
    const [ax, ay] = [x - points[from][0], y - points[from][1]];
    const along = ax * dx + ay * dy;
    const aside = Math.abs(ax * dy - ay * dx);
    if (i === from || !(along > 0)) return;
    const cost = along + 2 * aside;
    if (cost < least) [least, best] = [cost, i];
  });
  return best;
}

/**
 * Return the places where a text is found in any of several texts of each prompt, whatever the case of letters.
 *
 * @param {string} wanted
 * @param {readonly (readonly (string | undefined)[])[]} texts of each prompt
 * @returns {number[]}
 */
export function search(wanted, texts) {
  const lower = wanted.trim().toLowerCase();
  if (!lower) return [];
  return texts.flatMap((some, i) => (some.some((text) => text?.toLowerCase().includes(lower)) ? [i] : []));
}
