// @ts-check
/** Numbers as text, written as moexray/formats.py writes them. */

/**
 * Return a number with a fixed number of decimals; where it lies in the middle, to the even digit, as Python does.
 *
 * @param {number | null | undefined} value
 * @param {number} [digits]
 * @returns {string}
 */
export function number(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "\u2013";
  const inMiddle = Number.isInteger(value * 2 ** (digits + 1)) && Math.abs((value * 10 ** digits) % 1) === 0.5;
  if (!inMiddle) return value.toFixed(digits);
  const below = Math.floor(value * 10 ** digits);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** digits).toFixed(digits);
}

/** @param {number | null | undefined} share @param {number} [digits] @returns {string} */
export function percent(share, digits = 1) {
  return share === null || share === undefined || Number.isNaN(share) ? "\u2013" : `${number(100 * share, digits)} %`;
}

/**
 * @param {number | null | undefined} value
 * @param {readonly [number, number] | null | undefined} ends
 * @param {(value: number | null | undefined) => string} [write]
 * @returns {string}
 */
export function estimate(value, ends, write = number) {
  return ends ? `${write(value)} [${write(ends[0])}, ${write(ends[1])}]` : write(value);
}

/** @param {number | null | undefined} p @returns {string} */
export function pText(p) {
  if (p === null || p === undefined) return "p not computed";
  return p < 0.001 ? "p < 0.001" : `p = ${number(p, 3)}`;
}

/** @param {number} value @returns {string} */
export function whole(value) {
  return value.toLocaleString("en-US");
}

/** @param {number} many @param {string} thing @returns {string} */
export function count(many, thing) {
  return `${whole(many)} ${thing}${many === 1 ? "" : "s"}`;
}

/**
 * Return how many decimals tell the ticks of an axis apart.
 *
 * @param {readonly number[]} ticks
 * @returns {number}
 */
export function digitsOf(ticks) {
  const step = Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0)) || 1;
  let digits = 0;
  while (digits < 8 && Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) > 1e-6) digits++;
  return digits;
}
