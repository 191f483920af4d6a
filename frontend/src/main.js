// @ts-check
/** The page comes alive: data is unpacked, and each view drawn in its section. */
import { render } from "preact";
import { load } from "./data.js";
import { html } from "./html.js";
import { Choice } from "./parts/choice.js";
import { keepInAddress } from "./state.js";
import { VIEWS } from "./views/index.js";

async function start() {
  if (!("DecompressionStream" in globalThis)) {
    say("This browser cannot unpack the data of the page: the pictures below are still.");
    return;
  }
  const data = await load();
  keepInAddress(data);
  const bar = document.getElementById("choice");
  if (bar) render(html`<${Choice} data=${data} />`, bar);
  for (const place of document.querySelectorAll("[data-view]")) {
    const view = VIEWS[place.getAttribute("data-view") ?? ""];
    if (view) render(html`<${view} data=${data} />`, place);
  }
  document.documentElement.classList.add("alive");
  performance.mark("alive");
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
