// @ts-check
/** The order of the cells of a table. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];
const BY_LETTER = new Intl.Collator("en", { numeric: true });

/**
 * Compare two cells: numbers by the first number in each, texts by their letters; what is no number comes last.
 *
 * @param {string} one
 * @param {string} other
 * @param {boolean} numeric
 * @param {boolean} down whether the greatest comes first
 * @returns {number}
 */
export function compared(one, other, numeric, down) {
  const sign = down ? -1 : 1;
  if (!numeric) return sign * BY_LETTER.compare(one, other);
  const [first, second] = [valueOf(one), valueOf(other)];
  if (Number.isNaN(first) || Number.isNaN(second)) return Number(Number.isNaN(first)) - Number(Number.isNaN(second));
  return sign * (first - second);
}

/** Return the number that a cell starts with, in bytes where it has their unit. @param {string} cell @returns {number} */
function valueOf(cell) {
  const found = /^[<[\s]*([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)(?:\s([kMGTP]?B)\b)?/.exec(cell);
  if (!found) return NaN;
  return Number(found[1].replaceAll(",", "")) * 1000 ** Math.max(0, UNITS.indexOf(found[2]));
}
