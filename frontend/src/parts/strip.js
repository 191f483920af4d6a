// @ts-check
/** The tokens of one prompt in a row, tinted, with one chosen token that the mouse, a finger and the keys move. */
import { useEffect, useMemo, useRef } from "preact/hooks";
import { html } from "../html.js";
import { within } from "../state.js";
import { tokenText } from "../visible.js";

// So many tokens are in the page at a time.
export const WINDOW = 3000;

/**
 * @param {{
 *   data: import("../data.js").Data, which: number, tints: import("../tinting.js").Tint[], beside: boolean, at: number,
 *   choose: (at: number) => void, label: string, playing?: boolean, hits?: ReadonlySet<number>,
 *   press?: (event: KeyboardEvent) => boolean,
 * }} props
 *   `beside` writes numbers beside tokens; `playing` fades the tokens after the chosen one; `hits` are framed; `press`
 *   says whether it answered a key
 */
export function Strip({ data, which, tints, beside, at, choose, label, playing = false, hits, press }) {
  const tokens = /** @type {import("../data.js").Tokens} */ (data.tokens);
  const strip = useRef(/** @type {HTMLDivElement | null} */ (null));
  const shown = useRef(/** @type {Element | null} */ (null));
  const [start] = tokens.of.get(which) ?? [0, 0];
  const length = tints.length;
  const first = Math.floor(at / WINDOW) * WINDOW;
  const spans = useMemo(
    () =>
      tints.slice(first, first + WINDOW).map(({ tint, number: written }, i) => {
        const place = first + i;
        const { kind, phase } = data.facts.segments[tokens.segments[start + place]];
        const text = kind === "image" ? "▦" : tokenText(tokens.texts[tokens.text[start + place]]);
        const of = `token ${tint}${phase === "generated" ? " written" : ""}${hits?.has(place) ? " hit" : ""}`;
        return html`<span class=${of} key=${i} data-at=${place}>${text}${beside && written ? html`<sub>${written}</sub>` : null}</span>`;
      }),
    [which, tints, beside, first, hits],
  );
  useEffect(() => {
    const children = strip.current?.children ?? [];
    const here = /** @type {HTMLElement | undefined} */ (children[at - first]);
    shown.current?.classList.remove("at");
    here?.classList.add("at");
    shown.current = here ?? null;
    const box = strip.current;
    if (here && box && (here.offsetTop < box.scrollTop || here.offsetTop + 30 > box.scrollTop + box.clientHeight)) {
      box.scrollTop = here.offsetTop - box.clientHeight / 2;
    }
  }, [at, spans]);
  useEffect(() => {
    const children = strip.current?.children ?? [];
    for (let i = 0; i < children.length; i++) children[i].classList.toggle("later", playing && first + i > at);
  }, [playing ? at : -1, spans]);
  /** @param {KeyboardEvent} event */
  const pressed = (event) => {
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - 10, ArrowDown: at + 10, Home: 0, End: length - 1 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in moves) choose(within(moves[event.key], 0, length - 1));
    else if (!press?.(event)) return;
    event.preventDefault();
  };
  /** @param {Event} event */
  const point = (event) => {
    const target = /** @type {HTMLElement} */ (event.target).closest("[data-at]");
    if (target && !(playing && event.type !== "click")) choose(Number(target.getAttribute("data-at")));
  };
  return html`<div
    class="tokens" ref=${strip} tabindex="0" role="application" aria-roledescription="tokens" dir="auto"
    aria-label=${label} onKeyDown=${pressed} onClick=${point} onPointerOver=${point}
  >${spans}</div>`;
}
