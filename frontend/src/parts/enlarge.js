// @ts-check
/** A button that lets one section fill the window, and Esc or the same button that leaves it. */
import { useEffect, useRef } from "preact/hooks";
import { html } from "../html.js";
import { large } from "../state.js";

/** @param {{name: string, described: string}} props the section, and the id of its heading */
export function Enlarge({ name, described }) {
  const on = large.value === name;
  const button = useRef(/** @type {HTMLButtonElement | null} */ (null));
  const scrolled = useRef(0);
  const enter = () => {
    scrolled.current = scrollY;
    large.value = name;
  };
  const back = useRef(false);
  const leave = () => {
    back.current = true;
    large.value = "";
  };
  useEffect(() => {
    if (!on) return undefined;
    const root = document.documentElement;
    const section = document.getElementById(name);
    root.classList.add("one");
    section?.classList.add("large");
    scrollTo({ top: 0, behavior: "instant" });
    /** @param {KeyboardEvent} event */
    const press = (event) => {
      // What else Esc ends, as a list of keys or a playback, comes first.
      if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (/** @type {HTMLInputElement} */ (event.target).matches?.("input[type=search]:not(:placeholder-shown)")) return;
      leave();
    };
    document.addEventListener("keydown", press);
    return () => {
      document.removeEventListener("keydown", press);
      if (!large.value) root.classList.remove("one");
      section?.classList.remove("large");
      if (!back.current) return; // another section fills the window now
      back.current = false;
      scrollTo({ top: scrolled.current, behavior: "instant" });
      button.current?.focus({ preventScroll: true });
    };
  }, [on]);
  return html`<button type="button" ref=${button} aria-pressed=${on} aria-describedby=${described} onClick=${on ? leave : enter}>
    ${on ? "Leave full window (Esc)" : "Full window"}
  </button>`;
}
