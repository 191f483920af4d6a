// @ts-check
/** The list of keys. */
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";

const KEYS = [
  ["Tab", "go to the next view or control"],
  ["← → ↑ ↓", "in a view: move to the neighbouring layer, pair, prompt, expert or token"],
  ["Home, End", "in a view: the first, the last"],
  ["PageUp, PageDown", "in a matrix: the first, the last row"],
  ["Space", "in the tokens: play the generation, or stop"],
  ["Enter", "in the search: the next prompt found; with Shift the one before"],
  ["Esc", "stop playing; leave the full window; close this list"],
  ["?", "this list"],
];

export function Help() {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const press = (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.key !== "?" || target.matches?.("input:not([type=range]), select, textarea")) return;
      event.preventDefault();
      if (dialog.current?.open) dialog.current.close();
      else dialog.current?.showModal();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return html`<button type="button" aria-label="Keys" onClick=${() => dialog.current?.showModal()}>?</button>
    <dialog ref=${dialog} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl>${KEYS.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
      <p>Everything is chosen in the bar as well. The address of the page holds the selection: copy it to come back.</p>
      <button type="button" onClick=${() => dialog.current?.close()}>Close</button>
    </dialog>`;
}
