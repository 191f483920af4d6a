// @ts-check
/** The page on paper: always light, as wide as paper is, with nothing folded. */
import { options } from "preact";
import { paper } from "../state.js";
import { colourPage } from "./colours.js";

// A4 and US Letter, less margins, have at least so many pixels.
const WIDTH = 640;

/**
 * Do something that changes what views draw, and have them drawn when this returns: a browser that prints, or a picture
 * that is saved, waits for nothing.
 *
 * @param {() => void} act
 */
function drawnAtOnce(act) {
  const before = options.debounceRendering;
  options.debounceRendering = (draw) => draw();
  try {
    act();
  } finally {
    options.debounceRendering = before;
  }
}

/**
 * Return what a function returns while everything is drawn light and unfolded.
 *
 * @template T
 * @param {() => T} act
 * @returns {T}
 */
export function onPaper(act) {
  const root = document.documentElement;
  const name = root.getAttribute("data-theme");
  root.classList.add("unfolded");
  drawnAtOnce(() => colourPage("light"));
  try {
    return act();
  } finally {
    root.classList.remove("unfolded");
    drawnAtOnce(() => colourPage(name));
  }
}

/** Make the page fit for paper whenever it is printed. */
export function keepOnPaper() {
  const media = matchMedia("print");
  /** @type {{name: string | null, folded: HTMLDetailsElement[]} | null} */
  let screen = null;
  const enter = () => {
    if (screen) return;
    const folded = [...document.querySelectorAll("details")].filter((one) => !one.open);
    screen = { name: document.documentElement.getAttribute("data-theme"), folded };
    for (const one of folded) one.open = true;
    drawnAtOnce(() => {
      paper.value = WIDTH;
      colourPage("light");
    });
  };
  const leave = () => {
    if (!screen || media.matches) return;
    const { name, folded } = screen;
    screen = null;
    for (const one of folded) one.open = false;
    drawnAtOnce(() => {
      paper.value = 0;
      colourPage(name);
    });
  };
  addEventListener("beforeprint", enter);
  addEventListener("afterprint", leave);
  media.addEventListener("change", () => (media.matches ? enter() : leave()));
}
