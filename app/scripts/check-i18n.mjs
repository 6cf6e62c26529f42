/**
 * Checks the catalogues: the same keys in each language, each plural with exactly the forms that
 * its language has, the same placeholders, every key used, and no words in the code itself.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseSync, Visitor } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "src");
const folder = join(source, "i18n", "locales");
const FORMS = ["zero", "one", "two", "few", "many", "other"];
const problems = [];

const flatten = (node, path = "") =>
  Object.entries(node).flatMap(([key, value]) =>
    typeof value === "string" ? [[path + key, value]] : flatten(value, `${path}${key}.`),
  );

const split = (key) => {
  const form = FORMS.find((one) => key.endsWith(`_${one}`));
  return form ? [key.slice(0, -form.length - 1), form] : [key, null];
};

const catalogues = Object.fromEntries(
  readdirSync(folder).map((file) => [
    file.replace(".json", ""),
    new Map(flatten(JSON.parse(readFileSync(join(folder, file), "utf8")))),
  ]),
);
const english = catalogues.en;
const bases = new Map();
for (const key of english.keys()) {
  const [base, form] = split(key);
  if (!bases.has(base)) bases.set(base, new Set());
  if (form) bases.get(base).add(form);
}
const placeholders = (text) => new Set([...text.matchAll(/\{\{\s*(\w+)/g)].map((match) => match[1]));

for (const [language, catalogue] of Object.entries(catalogues)) {
  const needed = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
  const expected = new Set();
  for (const [base, forms] of bases) {
    if (forms.size === 0) {
      expected.add(base);
      continue;
    }
    for (const form of needed) expected.add(`${base}_${form}`);
    // A sentence of its own for nobody, where English has one.
    if (forms.has("zero")) expected.add(`${base}_zero`);
  }
  for (const key of expected) if (!catalogue.has(key)) problems.push(`${language}: ${key} is missing`);
  for (const [key, text] of catalogue) {
    if (!expected.has(key)) problems.push(`${language}: ${key} is too much`);
    if (text.trim() === "") problems.push(`${language}: ${key} is empty`);
    if (/!|！/.test(text)) problems.push(`${language}: ${key} shouts`);
    const [base, form] = split(key);
    const model = english.get(form ? `${base}_other` : base);
    if (model === undefined) continue;
    const wanted = placeholders(model);
    for (const name of placeholders(text)) {
      if (!wanted.has(name)) problems.push(`${language}: ${key} has {{${name}}}, English does not`);
    }
    for (const name of wanted) {
      // "Nobody" and "one" may be words instead of numbers.
      const optional = name === "count" || name === "min" || form === "zero";
      if (!optional && !placeholders(text).has(name)) problems.push(`${language}: ${key} lacks {{${name}}}`);
    }
  }
}

// ---- the code ------------------------------------------------------------------------------------

const files = (path) =>
  readdirSync(path, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(path, entry.name)) : [join(path, entry.name)],
  );
const SAID = new Set([
  "aria-label",
  "aria-description",
  "aria-valuetext",
  "title",
  "placeholder",
  "alt",
  "label",
  "hint",
]);
const LETTERS = /\p{L}{2,}/u;
const used = new Set();
const patterns = [];

for (const file of files(source)) {
  if (!/\.tsx?$/.test(file) || /\.test\.tsx?$|\/scripted\//.test(file)) continue;
  const text = readFileSync(file, "utf8");
  const { program, errors } = parseSync(file, text, { lang: file.endsWith("x") ? "tsx" : "ts" });
  if (errors.length > 0) problems.push(`${relative(root, file)} can't be read: ${errors[0].message}`);
  const complain = (node, words) => {
    const line = text.slice(0, node.start).split("\n").length;
    problems.push(`${relative(root, file)}:${line} says "${words.trim()}" outside the catalogues`);
  };
  new Visitor({
    JSXText(node) {
      if (LETTERS.test(node.value)) complain(node, node.value);
    },
    JSXAttribute(node) {
      if (!SAID.has(node.name.name) || !node.value) return;
      const value = node.value.type === "JSXExpressionContainer" ? node.value.expression : node.value;
      if (value.type === "Literal" && LETTERS.test(String(value.value))) complain(node, String(value.value));
      if (value.type === "TemplateLiteral" && value.quasis.some((q) => LETTERS.test(q.value.raw))) {
        complain(node, value.quasis.map((q) => q.value.raw).join("…"));
      }
    },
    Literal(node) {
      if (typeof node.value === "string") used.add(node.value);
    },
    TemplateLiteral(node) {
      if (node.quasis.length < 2) return;
      const escaped = node.quasis.map((q) => q.value.raw.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
      if (/^\w+\./.test(node.quasis[0].value.raw)) patterns.push(new RegExp(`^${escaped.join("\\w+")}$`));
    },
    CallExpression(node) {
      const [key] = node.arguments;
      if (node.callee.type !== "Identifier" || node.callee.name !== "t" || key?.type !== "Literal") return;
      if (!bases.has(key.value)) complain(key, `t("${key.value}"), an unknown key,`);
    },
  }).visit(program);
}
for (const base of bases.keys()) {
  if (!used.has(base) && !patterns.some((pattern) => pattern.test(base)))
    problems.push(`${base} is used nowhere`);
}

if (problems.length > 0) {
  console.error(problems.join("\n"));
  console.error(`${problems.length} problems`);
  process.exit(1);
}
console.log(`${Object.keys(catalogues).length} languages, ${bases.size} texts: complete`);
