// @ts-check
/** The selection as the part of an address after #. */

/**
 * @typedef {object} Chosen
 * @property {string} [prompt] id of the prompt
 * @property {string} [other] id of the prompt that it is compared with
 * @property {number} [layer] index of the layer in the model
 * @property {number} [expert]
 * @property {string} [category]
 * @property {number} [token] its place in the prompt
 */

/**
 * Read a selection; what is no part of one is left out.
 *
 * @param {string} fragment
 * @returns {Chosen}
 */
export function parse(fragment) {
  const found = new URLSearchParams(fragment.replace(/^#/, ""));
  /** @type {Chosen} */
  const chosen = {};
  for (const name of /** @type {const} */ (["prompt", "other", "category"])) {
    const value = found.get(name);
    if (value !== null) chosen[name] = value;
  }
  for (const name of /** @type {const} */ (["layer", "expert", "token"])) {
    const value = found.get(name);
    if (value !== null && /^\d{1,7}$/.test(value)) chosen[name] = Number(value);
  }
  return chosen;
}

/**
 * Write a selection.
 *
 * @param {Chosen} chosen
 * @returns {string}
 */
export function format(chosen) {
  const parts = new URLSearchParams();
  for (const name of /** @type {const} */ (["prompt", "layer", "expert", "category", "other", "token"])) {
    const value = chosen[name];
    if (value !== undefined) parts.set(name, String(value));
  }
  return `#${parts}`;
}
