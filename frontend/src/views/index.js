// @ts-check
/** The views of the page, by the name of their section. A new one is a file and a line here. */
import { CategoriesAndExperts } from "./categories.js";
import { Controls } from "./controls.js";
import { PairsByCategory } from "./distributions.js";
import { Layers } from "./layers.js";
import { LoadOfExperts } from "./load.js";
import { MapOfPrompts } from "./map.js";
import { Phases } from "./phases.js";
import { OnePrompt } from "./prompt.js";
import { Segments } from "./segments.js";
import { SimilarityOfPrompts } from "./similarity.js";
import { SpecificationCurve } from "./specifications.js";
import { TokenIdentityByLayer } from "./token_identity.js";

/** @type {Record<string, import("preact").FunctionComponent<{data: import("../data.js").Data}>>} */
export const VIEWS = {
  categories: CategoriesAndExperts,
  controls: Controls,
  distributions: PairsByCategory,
  layers: Layers,
  load: LoadOfExperts,
  map: MapOfPrompts,
  phases: Phases,
  prompt: OnePrompt,
  segments: Segments,
  similarity: SimilarityOfPrompts,
  specifications: SpecificationCurve,
  "token-identity": TokenIdentityByLayer,
};
