import i18next from "i18next";
import { expect, it } from "vitest";
import ar from "./locales/ar.json";
import de from "./locales/de.json";
import en from "./locales/en.json";
import hi from "./locales/hi.json";

async function translator(language: string, translation: object) {
  const made = i18next.createInstance();
  await made.init({
    lng: language,
    resources: { [language]: { translation } },
    interpolation: { escapeValue: false },
  });
  return (count: number) => made.t("circle.count", { count });
}

it("Arabic has six forms, and each is used where it belongs", async () => {
  const t = await translator("ar", ar);
  const forms = [0, 1, 2, 3, 11, 100].map(t);
  expect(new Set(forms).size).toBe(6);
  expect(t(0)).toBe("لا أحد");
  expect(t(2)).toBe("شخصان");
  expect(t(5)).toContain("أشخاص");
  expect(t(42)).toContain("شخصًا");
});

it("nobody is a word, one is one, and thousands are grouped", async () => {
  const english = await translator("en", en);
  expect([0, 1, 7, 1234].map(english)).toEqual(["nobody", "1 person", "7 people", "1,234 people"]);
  const german = await translator("de", de);
  expect([1, 1234].map(german)).toEqual(["1 Person", "1.234 Leute"]);
  const hindi = await translator("hi", hi);
  expect([1, 2].map(hindi)).toEqual(["1 व्यक्ति", "2 लोग"]);
});
