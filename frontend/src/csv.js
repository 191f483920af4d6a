// @ts-check
/** Rows as CSV. */

/**
 * Return rows as CSV text. What a spreadsheet would read as a formula is written as text.
 *
 * @param {readonly string[]} names
 * @param {Iterable<readonly (string | number | null | undefined)[]>} rows
 * @returns {string}
 */
export function csv(names, rows) {
  const lines = [names.map(cell).join(",")];
  for (const row of rows) lines.push(row.map(cell).join(","));
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {string | number | null | undefined} value @returns {string} */
function cell(value) {
  if (value === null || value === undefined || (typeof value === "number" && Number.isNaN(value))) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
