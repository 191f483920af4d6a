// @ts-check
/** Which tint a token has, and what it says. Pure functions of the tokens of one prompt. */
import { affinity, leadingExperts } from "./numbers.js";

/** How many experts have a tint of their own. */
export const TINTS = 7;
// Categories have as many tints as there are colours.
export const COLOURS = 8;
// An affinity that is no further above an even one says nothing.
const LEAST_ABOVE = 0.02;

/** @typedef {{tint: string, number: string}} Tint the class of a token, and what stands beside it if numbers are shown */
/** @typedef {{start: number, end: number, layers: number, k: number, none: number}} Where tokens of a prompt */

/**
 * Return the experts of one token in a layer, in the order of the trace.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} token its place among all tokens
 * @param {number} layer its place
 * @returns {number[]}
 */
export function expertsOf(experts, { layers, k, none }, token, layer) {
  const from = (token * layers + layer) * k;
  return Array.from({ length: k }, (_, j) => experts[from + j]).filter((expert) => expert !== none);
}

/**
 * Tint tokens by the leading experts of the prompt: by the first choice of each where experts are ranked, else by the
 * one of its experts that leads most.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} layer its place
 * @param {boolean} ranked whether experts stand in the router's order
 * @returns {{leading: {expert: number, tokens: number}[], tints: Tint[]}}
 */
export function byLeading(experts, where, layer, ranked) {
  const leading = leadingExperts(experts, where, layer, { first: ranked, most: TINTS });
  return { leading, tints: tintsByLeading(experts, where, layer, { ranked, leading }) };
}

/**
 * Return the experts that lead in several prompts together, by the sum of their tokens; ties by number.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {readonly Where[]} prompts
 * @param {number} layer its place
 * @param {boolean} ranked whether experts stand in the router's order
 * @returns {{expert: number, tokens: number, each: number[]}[]} with the tokens of all and of each prompt
 */
export function leadingTogether(experts, prompts, layer, ranked) {
  /** @type {Map<number, number[]>} */
  const found = new Map();
  prompts.forEach((where, i) => {
    for (const { expert, tokens } of leadingExperts(experts, where, layer, { first: ranked, most: Infinity })) {
      const each = found.get(expert) ?? prompts.map(() => 0);
      each[i] = tokens;
      found.set(expert, each);
    }
  });
  return [...found]
    .map(([expert, each]) => ({ expert, tokens: each.reduce((a, b) => a + b, 0), each }))
    .sort((a, b) => b.tokens - a.tokens || a.expert - b.expert)
    .slice(0, TINTS);
}

/**
 * Tint tokens by some experts that lead.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} layer its place
 * @param {{ranked: boolean, leading: readonly {expert: number}[]}} how
 * @returns {Tint[]}
 */
export function tintsByLeading(experts, where, layer, { ranked, leading }) {
  const place = new Map(leading.map(({ expert }, i) => [expert, i]));
  const tints = [];
  for (let t = where.start; t < where.end; t++) {
    const own = expertsOf(experts, where, t, layer);
    const among = ranked ? own.slice(0, 1) : own.filter((expert) => place.has(expert));
    const [best] = among.sort((a, b) => (place.get(a) ?? TINTS) - (place.get(b) ?? TINTS));
    const at = place.get(best);
    tints.push({ tint: at === undefined ? "t0" : `t${at + 1}`, number: best === undefined ? "" : String(best) });
  }
  return tints;
}

/**
 * Tint tokens by one expert: the stronger, the greater its gate weight, or the higher its rank where weights are not
 * known; one strength where neither is.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} layer its place
 * @param {{expert: number, weights: ArrayLike<number> | null, steps: number, ranked: boolean}} how
 * @returns {Tint[]}
 */
export function byExpert(experts, where, layer, { expert, weights, steps, ranked }) {
  const tints = [];
  for (let t = where.start; t < where.end; t++) {
    const from = (t * where.layers + layer) * where.k;
    const at = Array.from({ length: where.k }, (_, j) => experts[from + j]).indexOf(expert);
    if (at < 0) {
      tints.push({ tint: "none", number: "" });
      continue;
    }
    const strength = weights ? weights[from + at] / steps : ranked ? 1 - at / where.k : 0.6;
    tints.push({ tint: `w${Math.min(4, 1 + Math.floor(strength * 4))}`, number: ranked ? `${at + 1}.` : "\u2022" });
  }
  return tints;
}

/**
 * Tint tokens by the category that their experts belong to most.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} layer its place
 * @param {readonly Float64Array[]} shares of each category, without this prompt
 * @returns {Tint[]}
 */
export function byCategory(experts, where, layer, shares) {
  const tints = [];
  for (let t = where.start; t < where.end; t++) {
    const found = affinity(expertsOf(experts, where, t, layer), shares);
    const known = found.filter((value) => !Number.isNaN(value));
    const most = Math.max(...known);
    const clear = known.length > 0 && most - 1 / known.length >= LEAST_ABOVE;
    const best = found.indexOf(most);
    tints.push({ tint: clear ? `t${(best % COLOURS) + 1}` : "t0", number: clear ? String(best + 1) : "" });
  }
  return tints;
}

/**
 * Whether a selector of tokens takes a segment, as moexray/segments.py has it.
 *
 * @param {string} selector
 * @param {{phase: string, kind: string}} segment
 * @returns {boolean}
 */
export function takes(selector, { phase, kind }) {
  return ["all", phase, kind, `${phase}/${kind}`].includes(selector);
}

/**
 * Count what some of the tokens of a prompt selected in one layer.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} layer its place
 * @param {{width: number, taken: (token: number) => boolean}} how experts of the widest layer, and which tokens count
 * @returns {Float64Array} (width,)
 */
export function countInLayer(experts, where, layer, { width, taken }) {
  const found = new Float64Array(width);
  for (let t = where.start; t < where.end; t++) {
    if (taken(t)) for (const expert of expertsOf(experts, where, t, layer)) found[expert] += 1;
  }
  return found;
}

/**
 * Count what tokens selected, in every layer.
 *
 * @param {ArrayLike<number>} experts (tokens, layers, k)
 * @param {Where} where
 * @param {number} width experts of the widest layer
 * @returns {Float64Array} (layers, width)
 */
export function countTokens(experts, { start, end, layers, k, none }, width) {
  const found = new Float64Array(layers * width);
  for (let t = start; t < end; t++) {
    for (let l = 0; l < layers; l++) {
      for (let j = 0; j < k; j++) {
        const expert = experts[(t * layers + l) * k + j];
        if (expert !== none) found[l * width + expert] += 1;
      }
    }
  }
  return found;
}

/**
 * Return where the tokens of each image of a prompt are: images come in order, each with so many tokens. Where a model
 * has tokens of image kind around them, as ERNIE has, only those of the most frequent id stand for patches.
 *
 * @param {readonly (number | null)[]} ids of the tokens of image kind; null for any other token
 * @param {readonly {tokens: number | null}[]} images
 * @returns {number[][]} places of the tokens of each image; empty if they do not add up
 */
export function tokensOfImages(ids, images) {
  const every = ids.flatMap((id, i) => (id === null ? [] : [i]));
  /** @type {Map<number | null, number>} */
  const often = new Map();
  for (const i of every) often.set(ids[i], (often.get(ids[i]) ?? 0) + 1);
  const [most] = [...often].sort((a, b) => b[1] - a[1])[0] ?? [null];
  const sum = images.reduce((before, one) => before + (one.tokens ?? NaN), 0);
  const places = [every, every.filter((i) => ids[i] === most)].find((some) => some.length === sum);
  if (!places) return images.map(() => []);
  let start = 0;
  return images.map(({ tokens }) => {
    start += tokens ?? 0;
    return places.slice(start - (tokens ?? 0), start);
  });
}
