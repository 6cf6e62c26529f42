import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const CSS = readFileSync(new URL("styles.css", import.meta.url), "utf8");

type Rgb = [number, number, number];

/** Linear sRGB of an OKLCH colour. */
function linear(l: number, c: number, hue: number): Rgb {
  const [a, b] = [c * Math.cos((hue * Math.PI) / 180), c * Math.sin((hue * Math.PI) / 180)];
  const long = (l + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const middle = (l - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (l - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const clamp = (value: number) => Math.max(0, Math.min(1, value));
  return [
    clamp(4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short),
    clamp(-1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short),
    clamp(-0.0041960863 * long - 0.7034186147 * middle + 1.707614701 * short),
  ];
}

/** The colours of `:root` or `.dark`, by name. */
function tokens(selector: string): Map<string, Rgb> {
  const block = CSS.split(`${selector} {`)[1]?.split("\n}")[0] ?? "";
  const found = block.matchAll(/--([\w-]+): oklch\(([\d.]+) ([\d.]+) ([\d.]+)\);/g);
  return new Map([...found].map(([, name = "", l, c, h]) => [name, linear(Number(l), Number(c), Number(h))]));
}

/** As WCAG has it. */
function contrast(a: Rgb | undefined, b: Rgb | undefined): number {
  if (!a || !b) return 0;
  const light = ([red, green, blue]: Rgb) => 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  const [one, other] = [light(a), light(b)];
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}

const BACKGROUNDS = ["surface-0", "surface-1", "surface-2"];

describe.each([":root", ".dark"])("the colours of %s", (selector) => {
  const colours = tokens(selector);
  const between = (a: string, b: string) => contrast(colours.get(a), colours.get(b));

  it.each(["own", "bubble", "speak-soft"])("let messages on %s be read by everyone (AAA)", (bubble) => {
    expect(between("text-1", bubble)).toBeGreaterThanOrEqual(7);
    // A message in its last minutes pales, and is read all the same.
    expect(between("text-2", bubble)).toBeGreaterThanOrEqual(7);
  });

  it.each(BACKGROUNDS)("let every text on %s be read (AA)", (surface) => {
    for (const text of ["text-1", "text-2", "text-3", "accent-strong", "warn", "danger", "speak-text"]) {
      expect(between(text, surface), text).toBeGreaterThanOrEqual(4.5);
    }
  });

  it("let what stands on a colour be read (AA)", () => {
    for (const name of ["accent", "speak", "danger"]) {
      expect(between(`on-${name}`, name), name).toBeGreaterThanOrEqual(4.5);
    }
    expect(between("text-1", "warn-soft")).toBeGreaterThanOrEqual(4.5);
    expect(between("danger", "danger-soft")).toBeGreaterThanOrEqual(4.5);
    expect(between("text-1", "accent-soft")).toBeGreaterThanOrEqual(4.5);
  });

  it("let controls and signs be seen (3:1)", () => {
    for (const name of ["accent", "line-strong"]) {
      for (const surface of ["surface-0", "surface-1"]) {
        expect(between(name, surface), `${name} on ${surface}`).toBeGreaterThanOrEqual(3);
      }
    }
  });
});
