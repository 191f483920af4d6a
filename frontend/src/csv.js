// @ts-check
/** Rows as CSV. */

/** @typedef {string | number | null | undefined} Cell */

/**
 * Return rows as CSV text. What a spreadsheet would read as a formula is written as text.
 *
 * @param {readonly string[] | null} names null for no line of names
 * @param {Iterable<readonly Cell[]>} rows
 * @param {readonly boolean[]} [numeric] whether a column is of numbers as they are shown: +0.31 is no formula there
 * @returns {string}
 */
export function csv(names, rows, numeric = []) {
  const lines = names === null ? [] : [names.map((name) => cell(name, false)).join(",")];
  for (const row of rows) lines.push(row.map((value, i) => cell(value, numeric[i] ?? false)).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {Cell} value @param {boolean} numeric @returns {string} */
function cell(value, numeric) {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
  if (typeof value === "number") return String(value);
  const formula = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value) && !(numeric && /^[+-][\d.,]+( %)?$/.test(value));
  const text = formula ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
