// @ts-check
/** The page comes alive: data is unpacked, and each view drawn in its section. */
import { render } from "preact";
import { factsOf, load } from "./data.js";
import { html } from "./html.js";
import { Choice } from "./parts/choice.js";
import { Enlarge } from "./parts/enlarge.js";
import { Place } from "./parts/hooks.js";
import { keepOnPaper } from "./parts/paper.js";
import { serveStill } from "./parts/still.js";
import { keepInAddress } from "./state.js";
import { VIEWS } from "./views/index.js";

async function start() {
  keepOnPaper();
  for (const section of document.querySelectorAll("section.view")) enlargeable(section);
  if (!("DecompressionStream" in globalThis)) {
    say("This browser cannot unpack the data of the page: the pictures below are still.");
    return;
  }
  const facts = factsOf();
  serveStill(facts.blocks);
  if (facts.alone) return alive();
  const data = await load(facts);
  keepInAddress(data);
  const bar = document.getElementById("choice");
  if (bar) render(html`<${Choice} data=${data} />`, bar);
  for (const place of document.querySelectorAll("[data-view]")) {
    const name = place.getAttribute("data-view") ?? "";
    const view = VIEWS[name];
    if (view) render(html`<${Place.Provider} value=${name}><${view} data=${data} /></${Place.Provider}>`, place);
  }
  alive();
}

function alive() {
  document.documentElement.classList.add("alive");
  performance.mark("alive");
}

/** Put the button into a section that lets it fill the window. @param {Element} section */
function enlargeable(section) {
  const heading = section.querySelector("h2, .title");
  if (!heading || !section.id) return;
  const place = document.createElement("div");
  place.className = "enlarge";
  heading.after(place);
  render(html`<${Enlarge} name=${section.id} described=${heading.id} />`, place);
}

/** @param {string} text */
function say(text) {
  const notice = document.createElement("p");
  notice.className = "notice";
  notice.textContent = text;
  document.getElementById("choice")?.append(notice);
}

start().catch((error) => {
  say("The data of this page could not be unpacked: the pictures below are still.");
  throw error;
});
