import { configureVoice, joinVoice, saveSettings, useApp } from "../../state/store";
import { show, useUi } from "../../state/ui";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";

/** Once, before the first word: why the microphone, and what a call shows of one. */
export function VoiceAsk() {
  const { t } = useWords();
  const microphone = useApp((s) => s.app.microphone);
  const go = async (hide: boolean) => {
    show(null);
    await saveSettings({ voice_explained: true });
    configureVoice({ hide_address: hide });
    // Whoever has just said "Talk" talks: another press would be one too many.
    useUi.setState({ talk: "locked" });
    await joinVoice();
    if (useApp.getState().app.microphone === "denied") useUi.setState({ talk: "idle" });
  };
  return (
    <SheetFrame title={t("ask.title")}>
      {microphone !== "denied" && <p className="text-text-2">{t("ask.mic")}</p>}
      <p className="pt-2 text-text-2">{t("ask.address")}</p>
      <div className="flex flex-col gap-2 pt-5">
        <Button look="primary" className="min-h-14" onClick={() => void go(false)}>
          {t("ask.talk")}
        </Button>
        <Button onClick={() => void go(true)}>{t("ask.hide")}</Button>
        <Button look="plain" onClick={() => show(null)}>
          {t("ask.later")}
        </Button>
      </div>
    </SheetFrame>
  );
}
