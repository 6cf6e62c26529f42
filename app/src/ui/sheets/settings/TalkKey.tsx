import { useEffect, useState } from "react";
import { comboOf, DEAFEN_KEY, isModifier, MUTE_KEY } from "../../../lib/keys";
import { saveSettings, useApp } from "../../../state/store";
import { useWords } from "../../hooks";
import { Button } from "../../kit";

/** A key that talks while other windows are in front, where the system has such keys; else in this one. */
export function TalkKey({ everywhere }: { everywhere: boolean }) {
  const { t } = useWords();
  const key = useApp((s) => s.app.settings.talk_key);
  const [listening, setListening] = useState(false);
  useEffect(() => {
    if (!listening) return;
    const down = (event: KeyboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      if (isModifier(event)) return;
      if (event.key !== "Escape") void saveSettings({ talk_key: comboOf(event) });
      setListening(false);
    };
    window.addEventListener("keydown", down, true);
    return () => window.removeEventListener("keydown", down, true);
  }, [listening]);
  return (
    <div className="py-1.5">
      <p>{everywhere ? t("settings.talk_key") : t("settings.talk_key_here")}</p>
      <p className="text-s text-text-3">
        {everywhere ? t("settings.talk_key_hint") : t("settings.talk_key_here_hint")}
      </p>
      <div className="flex gap-2 pt-1">
        <Button
          className="grow"
          aria-pressed={listening}
          onClick={() => setListening(!listening)}
          onBlur={() => setListening(false)}
        >
          <kbd className="font-sans">
            {listening ? t("settings.talk_key_press") : (key ?? t("settings.talk_key_none"))}
          </kbd>
        </Button>
        {key !== null && (
          <Button onClick={() => void saveSettings({ talk_key: null })}>
            {t("settings.talk_key_clear")}
          </Button>
        )}
      </div>
      <p className="pt-1 text-s text-text-3">
        {t("settings.mute_keys", { mute: MUTE_KEY.shown, deafen: DEAFEN_KEY.shown })}
      </p>
    </div>
  );
}
