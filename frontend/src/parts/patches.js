// @ts-check
/** The patches of an image, each a token, tinted as the tokens are. */
import { useRef } from "preact/hooks";
import { count } from "../format.js";
import { html } from "../html.js";
import { within } from "../state.js";
import { visible } from "../visible.js";
import { Saving } from "./saving.js";

/**
 * @param {{
 *   image: import("../data.js").Picture, places: number[], tints: import("../tinting.js").Tint[], at: number,
 *   choose: (at: number) => void, table: () => import("./saving.js").Numbers, number: number,
 * }} props
 *   `table` is that of all tokens of the prompt; `number` tells the images of a prompt apart
 */
export function Patches({ image, places, tints, at, choose, table, number }) {
  const picture = useRef(/** @type {HTMLDivElement | null} */ (null));
  const { rows, columns, data } = image;
  const name = visible(image.name);
  if (!rows || !columns || rows * columns !== places.length) {
    return html`<div><h3>Image <bdi>${name}</bdi></h3>
      <p class="says">${image.tokens === null ? "Its tokens" : count(image.tokens, "token")}: how they lie in the picture is not known. All tokens stand in a row above.</p></div>`;
  }
  const chosen = places.indexOf(at);
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    const from = Math.max(chosen, 0);
    const [row, column] = [Math.floor(from / columns), from % columns];
    /** @type {Record<string, [number, number]>} */
    const moves = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [0, 0],
      End: [rows - 1, columns - 1],
    };
    const move = moves[event.key];
    if (!move) return;
    event.preventDefault();
    choose(places[within(move[0], 0, rows - 1) * columns + within(move[1], 0, columns - 1)]);
  };
  const says = chosen < 0 ? "no patch is chosen" : `row ${Math.floor(chosen / columns) + 1}, column ${(chosen % columns) + 1}`;
  return html`<div>
    <h3>Image <bdi>${name}</bdi>, ${columns} × ${rows} patches</h3>
    <div class="pictures" ref=${picture}>
    <svg
      class=${`patches${data ? " over" : ""}`} viewBox=${`0 0 ${columns} ${rows}`} tabindex="0" role="application"
      aria-roledescription="patches" aria-label=${`Patches of ${name}: ${says}`} onKeyDown=${press}
      onClick=${(/** @type {any} */ event) => {
        const place = event.target.getAttribute("data-at");
        if (place !== null) choose(Number(place));
      }}
    >
      ${data && html`<image href=${data} width=${columns} height=${rows} preserveAspectRatio="none" />`}
      ${places.map((place, i) => html`<rect key=${i} data-at=${place} class=${`${tints[place].tint}${place === at ? " at" : ""}`} x=${i % columns} y=${Math.floor(i / columns)} width="1" height="1" />`)}
    </svg>
    ${data && html`<svg class="patches plain" viewBox=${`0 0 ${columns} ${rows}`} role="img" aria-label=${`The picture ${name}`}><image href=${data} width=${columns} height=${rows} preserveAspectRatio="none" /></svg>`}
    </div>
    <p class="says">Each square is one token of the image, tinted as the tokens above; ${says}.${data ? "" : " The picture itself is not in this page."}</p>
    <${Saving} name=${`prompt-image-${number}`} of=${`the patches of ${name}`} target=${picture} numbers=${() => {
      const { names, rows } = table();
      const every = [...rows];
      return {
        names: ["image", "row", "column", ...names],
        rows: places.map((place, i) => [image.name, Math.floor(i / columns) + 1, (i % columns) + 1, ...every[place]]),
      };
    }} />
  </div>`;
}
