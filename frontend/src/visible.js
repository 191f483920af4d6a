// @ts-check
/** Texts from prompts and models, with what nobody would see written as escapes. */

const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{NChar}]/u;
const EVERY_INVISIBLE = new RegExp(INVISIBLE.source, "gu");
const JOINERS = "\u200c\u200d";

/**
 * Return a text whose control, bidirectional and other invisible characters are written as Python writes them.
 *
 * A joiner belongs to the letter or picture before it and stays there.
 *
 * @param {string} text
 * @param {string} [kept] characters that stay, such as line breaks
 * @returns {string}
 */
export function visible(text, kept = "") {
  return text.replace(EVERY_INVISIBLE, (letter, /** @type {number} */ at) => {
    const before = [...text.slice(Math.max(0, at - 2), at)].at(-1) ?? "\n";
    return isInvisible(before, letter) && !kept.includes(letter) ? escaped(letter) : letter;
  });
}

/**
 * Return the text of a token: a line break is seen, and still breaks the line.
 *
 * @param {string} text
 * @returns {string}
 */
export function tokenText(text) {
  return visible(text, "\n\t").replaceAll("\n", "\u23ce\n").replaceAll("\t", "\u21e5\t");
}

/**
 * Return the start and the end of a long name: names of categories often differ at their end.
 *
 * @param {string} name
 * @param {number} most
 * @returns {string}
 */
export function shortened(name, most) {
  const letters = [...name];
  if (letters.length <= most) return name;
  const end = Math.floor((most - 1) * 0.4);
  return `${letters.slice(0, most - 1 - end).join("")}\u2026${letters.slice(letters.length - end).join("")}`;
}

/**
 * Return names that are shortened; of those that would look the same, what differs and what stands around it.
 *
 * @param {readonly string[]} names
 * @param {number} most
 * @returns {string[]}
 */
export function shortenedAll(names, most) {
  const shown = names.map((name) => shortened(name, most));
  for (const short of new Set(shown.filter((name, i) => shown.indexOf(name) < i))) {
    const alike = shown.flatMap((name, i) => (name === short ? [i] : []));
    const every = alike.map((i) => [...names[i]]);
    let differs = 0;
    while (every.every((one) => one[differs] === every[0][differs]) && differs < every[0].length) differs++;
    const start = Math.max(0, differs - Math.floor(most / 3));
    alike.forEach((i, place) => {
      const rest = every[place].slice(start);
      shown[i] = `${start ? "\u2026" : ""}${rest.slice(0, most - 2).join("")}${rest.length > most - 2 ? "\u2026" : ""}`;
    });
  }
  return shown;
}

/** @param {string} before @param {string} letter @returns {boolean} */
function isInvisible(before, letter) {
  if (JOINERS.includes(letter)) return before.charCodeAt(0) < 128 || INVISIBLE.test(before);
  return INVISIBLE.test(letter);
}

/** @param {string} letter @returns {string} */
function escaped(letter) {
  /** @type {Record<string, string>} */
  const short = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  const code = letter.codePointAt(0) ?? 0;
  const digits = code.toString(16);
  if (letter in short) return short[letter];
  if (code < 0x100) return `\\x${digits.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${digits.padStart(4, "0")}` : `\\U${digits.padStart(8, "0")}`;
}
