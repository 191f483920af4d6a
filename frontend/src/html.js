// @ts-check
/** Markup as tagged templates: ``html`<p>${text}</p>` ``. Texts in it are text nodes, whatever they hold. */
import htm from "htm";
import { h } from "preact";

export const html = htm.bind(h);
