import type { Language } from "../../../backend/types";
import { LANGUAGES } from "../../../i18n";
import { saveSettings, useApp } from "../../../state/store";
import { useWords } from "../../hooks";
import { Switch } from "../Switch";
import { Select } from "./fields";
import { Update } from "./Update";

export function General() {
  const { t } = useWords();
  const app = useApp((s) => s.app);
  const { settings } = app;
  return (
    <>
      <Select<Language | "system">
        label={t("settings.language")}
        value={settings.language}
        options={[
          ["system", t("settings.as_system")],
          ...LANGUAGES.map((one) => [one, nameOf(one)] as const),
        ]}
        onChange={(language) => void saveSettings({ language })}
      />
      <Select
        label={t("settings.theme")}
        value={settings.theme}
        options={[
          ["system", t("settings.as_system")],
          ["dark", t("settings.dark")],
          ["light", t("settings.light")],
        ]}
        onChange={(theme) => void saveSettings({ theme })}
      />
      <Switch
        label={t("settings.sounds")}
        hint={t("settings.sounds_hint")}
        checked={settings.sounds}
        onChange={(sounds) => void saveSettings({ sounds })}
      />
      {"vibrate" in navigator && (
        <Switch
          label={t("settings.vibration")}
          hint={t("settings.vibration_hint")}
          checked={settings.vibration}
          onChange={(vibration) => void saveSettings({ vibration })}
        />
      )}
      {app.can_tray && (
        <Switch
          label={t("settings.close_to_tray")}
          hint={t("settings.close_to_tray_hint")}
          checked={settings.close_to_tray}
          onChange={(close_to_tray) => void saveSettings({ close_to_tray })}
        />
      )}
      {app.can_autostart && (
        <Switch
          label={t("settings.autostart")}
          checked={settings.start_with_system}
          onChange={(start_with_system) => void saveSettings({ start_with_system })}
        />
      )}
      <p className="pt-3 text-s text-text-3">{t("settings.version", { version: app.version })}</p>
      {app.can_update && <Update />}
    </>
  );
}

/** A language in its own words. */
function nameOf(language: Language): string {
  const name = new Intl.DisplayNames(language, { type: "language" }).of(language) ?? language;
  return name.charAt(0).toLocaleUpperCase(language) + name.slice(1);
}
