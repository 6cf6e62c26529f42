import { saveSettings, useApp } from "../../../state/store";
import { useWords } from "../../hooks";
import { Switch } from "../Switch";

export function Notifications() {
  const { t } = useWords();
  const settings = useApp((s) => s.app.settings);
  return (
    <>
      <Switch
        label={t("settings.notify_mentions")}
        checked={settings.notify_mentions}
        onChange={(notify_mentions) => void saveSettings({ notify_mentions })}
      />
      <Switch
        label={t("settings.notify_messages")}
        checked={settings.notify_messages}
        onChange={(notify_messages) => void saveSettings({ notify_messages })}
      />
      <Switch
        label={t("settings.notify_contents")}
        hint={t("settings.notify_contents_hint")}
        checked={settings.notify_contents}
        onChange={(notify_contents) => void saveSettings({ notify_contents })}
      />
    </>
  );
}
