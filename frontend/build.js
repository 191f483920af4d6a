// Bundles src/main.js into the package, and writes the licences of what is in the bundle. The same source gives the
// same bytes.
import { build } from "esbuild";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../moexray/views/report/static");

const result = await build({
  absWorkingDir: here,
  entryPoints: ["src/main.js"],
  bundle: true,
  charset: "ascii",
  format: "iife",
  legalComments: "none",
  metafile: true,
  minify: true,
  target: "es2022",
  write: false,
});
const script = result.outputFiles[0].text;
// What would end the script element in which the page holds it, or open another.
for (const end of ["</script", "<script", "<!--"]) {
  if (script.toLowerCase().includes(end)) throw new Error(`the bundle holds ${end}`);
}
writeFileSync(join(target, "report.js"), script);

const packages = new Set();
for (const path of Object.keys(result.metafile.inputs)) {
  const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path);
  if (found) packages.add(found[1]);
}
const licences = [...packages].sort().map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt"].map((one) => join(folder, one)).find(existsSync);
  if (!file) throw new Error(`${name} has no licence file`);
  return `${name} ${version} (${license})\n\n${readFileSync(file, "utf8").trim()}\n`;
});
const head = "The script of the page that `moexray report` writes includes the following packages.\n";
writeFileSync(join(target, "THIRD-PARTY.txt"), [head, ...licences].join(`\n${"-".repeat(80)}\n\n`));
console.log(`${script.length} characters, ${packages.size} packages`);
