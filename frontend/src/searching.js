// @ts-check
/** Searching in tokens: over the data, whatever of it is in the page. Pure functions. */

/** @typedef {{prompt: number, text: string, starts: Uint32Array}} Line the tokens of a prompt one after the other, and where each starts */
/** @typedef {{prompt: number, first: number, last: number}} Match the first and the last token, by their places in the prompt */

/**
 * Return the tokens of every prompt as one text each, in small letters.
 *
 * @param {{texts: readonly string[], text: ArrayLike<number>, of: ReadonlyMap<number, readonly [number, number]>}} tokens
 * @returns {Line[]} in the order of the prompts
 */
export function linesOf({ texts, text, of }) {
  const small = texts.map((one) => one.toLowerCase());
  return [...of]
    .sort(([a], [b]) => a - b)
    .map(([prompt, [start, end]]) => {
      const starts = new Uint32Array(end - start);
      const parts = [];
      let length = 0;
      for (let t = start; t < end; t++) {
        starts[t - start] = length;
        parts.push(small[text[t]]);
        length += small[text[t]].length;
      }
      return { prompt, text: parts.join(""), starts };
    });
}

/**
 * Return where a text is found in tokens, also across several of them, whatever the case of letters.
 *
 * @param {string} wanted
 * @param {readonly Line[]} lines
 * @returns {Match[]}
 */
export function searchTokens(wanted, lines) {
  const small = wanted.trim().toLowerCase();
  /** @type {Match[]} */
  const found = [];
  if (!small) return found;
  for (const { prompt, text, starts } of lines) {
    for (let at = text.indexOf(small); at >= 0; at = text.indexOf(small, at + small.length)) {
      found.push({ prompt, first: tokenAt(starts, at), last: tokenAt(starts, at + small.length - 1) });
    }
  }
  return found;
}

/** Return the last token that starts at a letter or before it. @param {Uint32Array} starts @param {number} letter @returns {number} */
function tokenAt(starts, letter) {
  let [low, high] = [0, starts.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= letter) low = middle;
    else high = middle - 1;
  }
  return low;
}

/**
 * Return the place of the match that follows a token of a prompt, or comes before it; around the end.
 *
 * @param {readonly {prompt: number, first: number}[]} matches in order
 * @param {{prompt: number, first: number}} from
 * @param {1 | -1} by
 * @returns {number} −1 if there is none
 */
export function step(matches, from, by) {
  if (!matches.length) return -1;
  /** @param {{prompt: number, first: number}} one */
  const after = (one) => Math.sign(one.prompt - from.prompt || one.first - from.first) === by;
  if (by > 0) return Math.max(0, matches.findIndex(after));
  const found = matches.findLastIndex(after);
  return found < 0 ? matches.length - 1 : found;
}
