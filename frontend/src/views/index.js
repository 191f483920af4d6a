// @ts-check
/** The views of the page, by the name of their section. A new one is a file and a line here. */
import { CategoriesAndExperts } from "./categories.js";
import { Layers } from "./layers.js";
import { MapOfPrompts } from "./map.js";
import { OnePrompt } from "./prompt.js";
import { SimilarityOfPrompts } from "./similarity.js";

/** @type {Record<string, import("preact").FunctionComponent<{data: import("../data.js").Data}>>} */
export const VIEWS = {
  categories: CategoriesAndExperts,
  layers: Layers,
  map: MapOfPrompts,
  prompt: OnePrompt,
  similarity: SimilarityOfPrompts,
};
