// @ts-check
/** The one selection that all views share, kept in the address. */
import { batch, effect, signal } from "@preact/signals";
import { format, parse } from "./fragment.js";
import { visible } from "./visible.js";

/** The place of the chosen prompt in the page. */
export const prompt = signal(0);
/** The prompt that it is compared with. @type {import("@preact/signals").Signal<number | null>} */
export const other = signal(/** @type {number | null} */ (null));
/** The place of the chosen layer. */
export const layer = signal(0);
/** @type {import("@preact/signals").Signal<number | null>} */
export const expert = signal(/** @type {number | null} */ (null));
/** The place of the chosen category. @type {import("@preact/signals").Signal<number | null>} */
export const category = signal(/** @type {number | null} */ (null));
/** The chosen token: its place in a prompt, and the place of that prompt. */
const token = signal({ prompt: -1, at: 0 });
/** Counts changes of colours, for what is drawn by number. */
export const theme = signal(0);
/** What the address asks for and the page does not hold. @type {import("@preact/signals").Signal<string[]>} */
export const unknown = signal(/** @type {string[]} */ ([]));
/** The name of the section that fills the window. */
export const large = signal("");
/** How wide paper is while the page is on it, in pixels; 0 on a screen. */
export const paper = signal(0);
/** How high the window is. */
export const room = signal(globalThis.innerHeight ?? 0);
globalThis.addEventListener?.("resize", () => {
  room.value = innerHeight;
});

/** The place of the chosen token in the chosen prompt. @returns {number} */
export function tokenAt() {
  return token.value.prompt === prompt.value ? token.value.at : 0;
}

/** @param {number} at the place of a token in the chosen prompt */
export function chooseToken(at) {
  if (at !== tokenAt()) token.value = { prompt: prompt.value, at };
}

/**
 * Take the selection from the address, and keep it there from now on.
 *
 * @param {import("./data.js").Data} data
 */
export function keepInAddress({ facts, prompts }) {
  let asked = "";
  const read = () => {
    // The anchor of a section is a place to go to, and no selection.
    if (started && isAnchor(location.hash)) return keep(format(chosen()));
    const found = parse(location.hash);
    const places = new Map(prompts.ids.map((id, i) => [id, i]));
    const peak = facts.effects.reduce(
      (best, one, i) => ((one.cohens_d ?? -Infinity) > (facts.effects[best]?.cohens_d ?? -Infinity) ? i : best),
      0,
    );
    const at = facts.layers.indexOf(found.layer ?? -1);
    const named = facts.categories.names.indexOf(found.category ?? "");
    const lacking = [
      ...[found.prompt, found.other].filter((id) => id !== undefined && !places.has(id)).map((id) => `prompt ${visible(id ?? "")}`),
      ...(found.layer !== undefined && at < 0 ? [`layer ${found.layer}`] : []),
      ...(found.category !== undefined && named < 0 ? [`category ${visible(found.category)}`] : []),
    ];
    batch(() => {
      unknown.value = lacking;
      prompt.value = places.get(found.prompt ?? "") ?? 0;
      other.value = places.get(found.other ?? "") ?? null;
      layer.value = at < 0 ? peak : at;
      category.value = found.category === undefined || named < 0 ? null : named;
      expert.value = found.expert !== undefined && found.expert < facts.experts[layer.value] ? found.expert : null;
      chooseToken(found.token ?? 0);
      asked = format(chosen());
    });
  };
  const chosen = () => ({
    prompt: prompts.ids[prompt.value],
    layer: facts.layers[layer.value],
    expert: expert.value ?? undefined,
    category: category.value === null ? undefined : facts.categories.names[category.value],
    other: other.value === null ? undefined : prompts.ids[other.value],
    token: tokenAt() || undefined,
  });
  read();
  addEventListener("hashchange", read);
  effect(() => {
    const wanted = format(chosen());
    // Once something else is chosen, what the link asked for is past.
    if (wanted !== asked) unknown.value = [];
    // An address without a selection stays as it is until something is chosen.
    if (started || (location.hash && !isAnchor(location.hash))) keep(wanted);
    started = true;
  });
  effect(() => {
    const most = facts.experts[layer.value];
    if (expert.value !== null && expert.value >= most) expert.value = most - 1;
  });
}
let started = false;
let waiting = 0;

/** @param {string} fragment @returns {boolean} */
function isAnchor(fragment) {
  return fragment.length > 1 && !fragment.includes("=");
}

/** Write the address; browsers refuse more than some hundred changes in seconds, and then it is written later. @param {string} wanted */
function keep(wanted) {
  clearTimeout(waiting);
  if (wanted === location.hash) return;
  try {
    history.replaceState(null, "", wanted);
  } catch {
    waiting = setTimeout(() => keep(wanted), 2000);
  }
}

/** @param {number} value @param {number} least @param {number} most @returns {number} */
export function within(value, least, most) {
  return Math.min(most, Math.max(least, value));
}
