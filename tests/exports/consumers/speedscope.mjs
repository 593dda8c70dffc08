// Reads a file with speedscope's own importer and prints what it made of it, as JSON: node speedscope.mjs FILE.
// The package is a page and exports nothing: its script is run without a page, up to where it would draw one.

import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import vm from "node:vm";

process.on("uncaughtException", (error) => {
  // Without the line of code: it is the whole page's.
  console.error(error.message);
  process.exit(1);
});

const folder = join(dirname(fileURLToPath(import.meta.url)), "node_modules", "speedscope", "dist", "release");
const script = readdirSync(folder).find((name) => /^speedscope-.*\.js$/.test(name));
const source = readFileSync(join(folder, script), "utf8");

// What the page does with a file that it is handed: the function that knows every format.
const [, , , importer] = source.match(
  /loadFileFromBase64:\((\w+),(\w+)\)=>\{this\.loadProfile\(\(\)=>(\w+)\(\1,\2\)\)\}/,
);
const end = source.lastIndexOf("})();");
const [drawing] = source
  .slice(0, end)
  .match(
    /\w+\(\w+\(\w+,null,\w+\(\w+,null\)\),document\.body,document\.body\.lastElementChild\|\|void 0\);$/,
  );
const runnable = `${source.slice(0, end - drawing.length)}globalThis.importer=${importer};${source.slice(end)}`;

const nothing = new Proxy(function () {}, {
  get: (_, key) => (key === Symbol.toPrimitive ? () => "" : nothing),
  apply: () => nothing,
  construct: () => nothing,
});
const complaints = [];
const complain = (...words) => complaints.push(words.join(" "));
const page = {
  document: nothing,
  window: {
    location: { hash: "", protocol: "file:" },
    addEventListener() {},
    matchMedia: () => ({ matches: false, addListener() {}, addEventListener() {} }),
  },
  navigator: {},
  localStorage: { getItem: () => null },
  console: { log() {}, info() {}, warn: complain, error: complain },
  requestAnimationFrame() {},
  ...{
    atob,
    btoa,
    Blob,
    DecompressionStream,
    performance,
    Response,
    setTimeout,
    TextDecoder,
    TextEncoder,
    URL,
  },
};
page.self = page.globalThis = page;
vm.runInContext(runnable, vm.createContext(page));

const file = process.argv[2];
const group = await page.importer(basename(file), readFileSync(file).toString("base64"));
const profiles = group.profiles.map((profile) => {
  const frames = [];
  profile.forEachFrame((frame) =>
    frames.push({
      name: frame.name,
      file: frame.file ?? null,
      line: frame.line ?? null,
      self: frame.getSelfWeight(),
      total: frame.getTotalWeight(),
    }),
  );
  return { name: profile.getName(), unit: profile.getWeightUnit(), total: profile.getTotalWeight(), frames };
});
console.log(JSON.stringify({ profiles, complaints }));
