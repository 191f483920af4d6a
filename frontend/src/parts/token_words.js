// @ts-check
/** What is said of one token, and of all tokens as a table. */
import { number, percent } from "../format.js";
import { expertsOf } from "../tinting.js";
import { visible } from "../visible.js";

/** @typedef {import("../data.js").Data} Data */
/** @typedef {import("../tinting.js").Where} Where */

/**
 * Return where the tokens of a prompt lie among all.
 *
 * @param {Data} data
 * @param {number} which
 * @returns {Where}
 */
export function whereOf(data, which) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const [start, end] = tokens.of.get(which) ?? [0, 0];
  return { start, end, layers: data.facts.layers.length, k: tokens.k, none: tokens.none };
}

/**
 * Return the gate weights of a token in a layer, as the page holds them; null where none were recorded.
 *
 * @param {Data} data
 * @param {Where} where
 * @param {number} token its place among all tokens
 * @param {number} layer its place
 * @returns {number[] | null}
 */
function weightsOf({ tokens, facts }, where, token, layer) {
  const weights = tokens?.weights;
  if (!weights || !facts.tokens) return null;
  const { steps, greatest_weight: most } = facts.tokens;
  const from = (token * where.layers + layer) * where.k;
  return expertsOf(/** @type {any} */ (tokens).experts, where, token, layer).map((_, j) => (weights[from + j] / steps) * (most ?? 1));
}

/**
 * Say which token it is and where a layer sent it.
 *
 * @param {Data} data
 * @param {Where} where
 * @param {number} at its place in the prompt
 * @param {number} layer its place
 * @returns {string}
 */
export function tokenWords(data, where, at, layer) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const here = where.start + at;
  const { phase, kind } = data.facts.segments[tokens.segments[here]];
  const name = kind === "image" ? "an image token" : `“${visible(tokens.texts[tokens.text[here]])}”`;
  const own = expertsOf(tokens.experts, where, here, layer);
  const weights = weightsOf(data, where, here, layer);
  const listed = own.map((one, j) => (weights ? `${one} (${number(weights[j])})` : `${one}`)).join(", ");
  return (
    `Token ${at + 1} of ${where.end - where.start}, ${name}, ${phase}${kind === "text" ? "" : `, ${visible(kind)}`}. ` +
    `Layer ${data.facts.layers[layer]}: ${own.length === 1 ? "expert" : "experts"} ${listed || "none"}` +
    `${weights ? ", gate weights to about 1/255 of the greatest" : ""}.`
  );
}

/**
 * Return the tokens of a prompt as a table: where each was sent in a layer.
 *
 * @param {Data} data
 * @param {number} which
 * @param {number} layer its place
 * @returns {import("./saving.js").Numbers}
 */
export function tokenTable(data, which, layer) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const where = whereOf(data, which);
  const many = Array.from({ length: Math.min(where.k, data.facts.top_k[layer]) }, (_, j) => j);
  const weighed = Boolean(tokens.weights);
  return {
    names: [
      ...["prompt", "position", "token", "phase", "kind", "layer"],
      ...many.map((j) => `expert_${j + 1}`),
      ...(weighed ? many.map((j) => `gate_weight_${j + 1}`) : []),
    ],
    rows: Array.from({ length: where.end - where.start }, (_, at) => {
      const here = where.start + at;
      const { phase, kind } = data.facts.segments[tokens.segments[here]];
      const own = expertsOf(tokens.experts, where, here, layer);
      const weights = weightsOf(data, where, here, layer);
      return [
        ...[data.prompts.ids[which], at, tokens.texts[tokens.text[here]], phase, kind, data.facts.layers[layer]],
        ...many.map((j) => own[j]),
        ...(weights ? many.map((j) => weights[j]) : []),
      ];
    }),
  };
}

/** @param {import("../data.js").Facts} facts @param {number[]} found @returns {string} */
export function affinityWords({ categories }, found) {
  const every = found.map((value, i) => ({ value, name: visible(categories.names[i]) }));
  const some = every.filter(({ value }) => !Number.isNaN(value)).sort((a, b) => b.value - a.value);
  const lacking = every.length - some.length;
  if (!some.length) return "Affinity: not known.";
  const listed = some.slice(0, 6).map(({ value, name }) => `${name} ${percent(value, 0)}`);
  return `Affinity: ${listed.join(", ")}; even is ${percent(1 / some.length, 0)}${lacking ? "; categories without other prompts are left out" : ""}.`;
}
