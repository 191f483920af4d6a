// @ts-check
/** The data of the page: facts as JSON, and blocks of compressed arrays. */
import { layerSums } from "./numbers.js";

/** @typedef {Uint8Array | Uint16Array | Uint32Array | Float32Array | Float64Array} Values */
/** @typedef {{values: Values, shape: number[]}} Block */

/**
 * @typedef {object} Effect
 * @property {number} layer
 * @property {number | null} within
 * @property {number | null} across
 * @property {number | null} cohens_d
 * @property {[number, number] | null} cohens_d_ci
 * @property {number | null} accuracy
 * @property {[number, number] | null} accuracy_ci
 * @property {number | null} p_value
 * @property {number | null} p_value_corrected
 */

/** @typedef {{name: string, tokens: number | null, rows: number | null, columns: number | null, data?: string | null}} Picture */

/** @typedef {{layer: number, entropy: number, gini: number, cv: number, max_over_mean: number, dead_experts: number}} Load */

/**
 * @typedef {object} Specification
 * @property {string} measure
 * @property {string} layers
 * @property {string} phase
 * @property {string} left_out
 * @property {number | null} cohens_d
 * @property {number | null} auc
 * @property {number | null} p_value
 */

/**
 * @typedef {object} Specifications
 * @property {Specification[]} rows
 * @property {{choice: "measure" | "layers" | "phase" | "left_out", value: string, text: string}[]} choices
 * @property {number | null} headline the place of the row that the headline is
 * @property {{statistic: number, p_value: number, specifications: number, permutations: number} | null} test
 */

/**
 * @typedef {object} TokenIdentity
 * @property {number | null} covered
 * @property {{
 *   gain: number, ci: [number, number] | null, within: number, p_value: number, permutations: number, ids: number,
 *   by_layer: {layer: number, gain: number, null_ci: [number, number], p_value: number, p_value_corrected: number}[],
 * } | null} same_token
 * @property {{
 *   share: number, ci: [number, number] | null, by_layer: (number | null)[], high: number | null,
 *   high_ci: [number, number] | null, high_by_layer: (number | null)[] | null,
 * } | null} share
 * @property {{layer: number, observed: number | null, expected: number | null, residual: number | null}[] | null} layers
 */

/** @typedef {{name: string, observed: boolean, mean: number | null, start: number, width: number, pairs: number[]}} Histogram */

/** @typedef {{key: string, name: string, value: number, ci: [number, number] | null, p_value: number | null}} Estimate */

/**
 * @typedef {object} ForestOf
 * @property {string} title
 * @property {"share" | "points" | "effect" | "similarity"} unit
 * @property {number | null} reference
 * @property {string} reference_name
 * @property {Estimate[]} rows
 */

/** @typedef {{categories: string[], segments: string[], tokens: number[][], selections: number[][]}} BySegment */

/**
 * @typedef {object} Facts
 * @property {string} model
 * @property {string} phase
 * @property {string} by
 * @property {number} prompts
 * @property {number[]} layers
 * @property {number[]} experts
 * @property {number[]} top_k
 * @property {{phase: string, kind: string}[]} segments
 * @property {{names: string[], prompts: number[], tokens: number[]}} categories
 * @property {Effect[]} effects
 * @property {number | null} chance
 * @property {{explained: number[], silhouette: number | null, prompts: number} | null} plane
 * @property {{prompts: number, ranked: boolean, greatest_weight: number | null, steps: number, texts: boolean} | null} tokens
 * @property {number} level below which a p-value is small
 * @property {Load[] | null} loads
 * @property {Specifications | null} specifications
 * @property {TokenIdentity | null} token_identity
 * @property {Histogram[]} distributions of pairs within, across, and of nulls
 * @property {ForestOf[]} controls
 * @property {ForestOf[]} phases
 * @property {BySegment | null} by_segment
 * @property {Record<string, string>} commands
 * @property {boolean} [alone] whether the page has no data but what can be saved
 * @property {Record<string, {type: string, shape?: number[], later?: boolean}>} blocks
 */

/** @typedef {{ids: string[], categories: string[], texts: string[] | null, outputs: string[] | null}} Prompts */

/**
 * @typedef {object} Tokens
 * @property {string[]} texts
 * @property {Map<number, [number, number]>} of where the tokens of each prompt begin and end
 * @property {Values} text
 * @property {Values} segments
 * @property {Values} experts
 * @property {number} k
 * @property {number} none what stands for no expert
 * @property {Values | null} weights
 */

/**
 * @typedef {object} Data
 * @property {Facts} facts
 * @property {Prompts} prompts
 * @property {number[]} categoryOf the place of each prompt's category
 * @property {Record<string, Block>} blocks
 * @property {Map<number, number>} wholeAt the place in ``counts`` of the prompts that have all of them
 * @property {Map<number, number>} leadingAt the place in ``leading`` of the others
 * @property {number[]} matrix prompts of the matrix, by category
 * @property {Tokens | null} tokens
 * @property {Record<string, Picture[]>} images by the prompt's place among the signatures
 */

/** @type {Record<string, (buffer: ArrayBuffer) => Values>} */
const TYPES = {
  uint8: (buffer) => new Uint8Array(buffer),
  uint16: (buffer) => new Uint16Array(buffer),
  uint32: (buffer) => new Uint32Array(buffer),
  float32: (buffer) => new Float32Array(buffer),
  float64: (buffer) => new Float64Array(buffer),
};

/** Read what the page is of. @returns {Facts} */
export function factsOf() {
  return JSON.parse(textOf("facts"));
}

/** Read the JSON of a block, when it is asked for. @param {string} name @returns {Promise<unknown>} */
export async function valuesOf(name) {
  return JSON.parse(new TextDecoder().decode(await unpacked(textOf(`block-${name}`))));
}

/** Read everything but what is asked for later. @param {Facts} facts @returns {Promise<Data>} */
export async function load(facts) {
  /** @type {Record<string, Block>} */
  const blocks = {};
  /** @type {Record<string, any>} */
  const values = {};
  await Promise.all(
    Object.entries(facts.blocks).map(async ([name, { type, shape, later }]) => {
      if (later) return;
      const buffer = await unpacked(textOf(`block-${name}`));
      if (type === "json") values[name] = JSON.parse(new TextDecoder().decode(buffer));
      else blocks[name] = { values: TYPES[type](buffer), shape: shape ?? [] };
    }),
  );
  /** @type {Prompts} */
  const prompts = values.prompts;
  const numbers = new Map(facts.categories.names.map((name, i) => [name, i]));
  const categoryOf = prompts.categories.map((name) => numbers.get(name) ?? -1);
  const whole = new Set(blocks.whole.values);
  const others = prompts.ids.map((_, i) => i).filter((i) => !whole.has(i));
  const matrix = [...blocks.matrix.values].sort((a, b) => categoryOf[a] - categoryOf[b] || a - b);
  return {
    facts,
    prompts,
    categoryOf,
    blocks,
    wholeAt: new Map([...blocks.whole.values].map((prompt, i) => [prompt, i])),
    leadingAt: new Map(others.map((prompt, i) => [prompt, i])),
    matrix,
    tokens: facts.tokens ? tokensOf(blocks, values["token-texts"]) : null,
    images: values.images ?? {},
  };
}

/**
 * @param {Record<string, Block>} blocks
 * @param {string[]} texts
 * @returns {Tokens}
 */
function tokensOf(blocks, texts) {
  const promptOf = new Map([...blocks.rows.values].map((row, prompt) => [row, prompt]));
  /** @type {Map<number, [number, number]>} */
  const of = new Map();
  let start = 0;
  blocks["token-rows"].values.forEach((row, i) => {
    const end = start + blocks["token-lengths"].values[i];
    const prompt = promptOf.get(row);
    if (prompt !== undefined) of.set(prompt, [start, end]);
    start = end;
  });
  const experts = blocks["token-experts"];
  return {
    texts,
    of,
    text: blocks["token-text"].values,
    segments: blocks["token-segments"].values,
    experts: experts.values,
    k: experts.shape[2],
    none: 2 ** (8 * experts.values.BYTES_PER_ELEMENT) - 1,
    weights: blocks["token-weights"]?.values ?? null,
  };
}

/**
 * Return what a prompt selected in each layer ``(layers, width)``; NaN for what the page does not hold.
 *
 * @param {Data} data
 * @param {number} prompt
 * @returns {Float64Array}
 */
export function countsOf(data, prompt) {
  const [, layers, width] = data.blocks.counts.shape;
  const size = layers * width;
  const place = data.wholeAt.get(prompt);
  if (place !== undefined) {
    return Float64Array.from(data.blocks.counts.values.subarray(place * size, (place + 1) * size));
  }
  const found = new Float64Array(size).fill(NaN);
  const { values, shape } = data.blocks.leading;
  const counts = data.blocks["leading-counts"].values;
  const from = (data.leadingAt.get(prompt) ?? 0) * layers * shape[2];
  for (let l = 0; l < layers; l++) {
    for (let j = 0; j < shape[2]; j++) {
      const i = from + l * shape[2] + j;
      found[l * width + values[i]] = counts[i];
    }
  }
  return found;
}

/**
 * Return how much a prompt selected in each layer ``(layers,)``, of all experts, those that the page leaves out as well.
 *
 * @param {Data} data
 * @param {number} prompt
 * @returns {Float64Array}
 */
export function sumsOf(data, prompt) {
  const [, layers, width] = data.blocks.counts.shape;
  if (!data.wholeAt.has(prompt)) {
    const from = (data.leadingAt.get(prompt) ?? 0) * layers;
    return Float64Array.from(data.blocks["leading-sums"].values.subarray(from, from + layers));
  }
  return layerSums(countsOf(data, prompt), layers, width);
}

/** @param {string} id @returns {string} */
function textOf(id) {
  return document.getElementById(id)?.textContent ?? "";
}

/** @param {string} text base64 of gzip @returns {Promise<ArrayBuffer>} */
async function unpacked(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  // Uint8Array.from takes ten times as long: megabytes are read here.
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
