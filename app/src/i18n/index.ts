import i18next, { type i18n } from "i18next";
import { initReactI18next } from "react-i18next";
import type { Language } from "../backend/types";
import en from "./locales/en.json";

/** English is always here; the others come when they are asked for. */
const LOADERS: Record<Exclude<Language, "en">, () => Promise<{ default: typeof en }>> = {
  de: () => import("./locales/de.json"),
  es: () => import("./locales/es.json"),
  fr: () => import("./locales/fr.json"),
  hi: () => import("./locales/hi.json"),
  ar: () => import("./locales/ar.json"),
};

export const LANGUAGES: Language[] = ["en", "de", "es", "fr", "hi", "ar"];

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
  }
}

export const translator: i18n = i18next.createInstance();

export async function startTranslating(): Promise<void> {
  await translator.use(initReactI18next).init({
    resources: { en: { translation: en } },
    lng: "en",
    fallbackLng: "en",
    interpolation: { escapeValue: false },
    react: { useSuspense: false },
  });
}

/** The language that the system asks for, as far as it is spoken here. */
function systemLanguage(): Language {
  for (const wanted of navigator.languages) {
    const found = LANGUAGES.find((language) => wanted.toLowerCase().split("-")[0] === language);
    if (found) return found;
  }
  return "en";
}

export function chosenLanguage(setting: Language | "system"): Language {
  return setting === "system" ? systemLanguage() : setting;
}

export async function speak(language: Language): Promise<void> {
  if (language !== "en" && !translator.hasResourceBundle(language, "translation")) {
    const { default: catalogue } = await LOADERS[language]();
    translator.addResourceBundle(language, "translation", catalogue);
  }
  document.documentElement.lang = language;
  document.documentElement.dir = translator.dir(language);
  await translator.changeLanguage(language);
}
