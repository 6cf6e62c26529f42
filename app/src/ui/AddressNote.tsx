import { Square, SquareCheck, X } from "lucide-react";
import { useEffect, useState } from "react";
import { configureVoice, saveSettings, useApp } from "../state/store";
import { useUi } from "../state/ui";
import { useLow, useWords } from "./hooks";
import { Button, IconButton } from "./kit";

/**
 * Before the first word: what a call shows of one. Read beside Talk, it needs no question of its own, so that the
 * first press talks. In the dock it stands above Talk; elsewhere it is a card that points at Talk and can be put away.
 */
export function AddressNote({ card = false }: { card?: boolean }) {
  const { t } = useWords();
  const hidden = useApp((s) => s.voice.settings.hide_address);
  const unasked = useApp((s) => s.app.microphone === "unasked");
  const due = useApp(
    (s) =>
      s.voice.phase === "off" &&
      s.located !== null &&
      s.connection.state !== "stopped" &&
      !s.app.settings.voice_explained,
  );
  // With a keyboard on the screen there is no room for it; then Talk asks.
  const low = useLow();
  const wanted = due && !(card && low);
  const { box, cut } = useCut();
  useEffect(() => {
    useUi.setState({ addressSaid: wanted && !cut });
    return () => useUi.setState({ addressSaid: false });
  }, [wanted, cut]);
  if (!wanted) return null;
  const Sign = hidden ? SquareCheck : Square;
  const said = `${unasked ? `${t("ask.mic_first")} ` : ""}${t("ask.address")}`;
  const choice = (
    <Button
      look="plain"
      aria-pressed={hidden}
      className={`text-start ${card ? "ps-3! pe-1! text-s" : ""}`}
      onClick={() => configureVoice({ hide_address: !hidden })}
    >
      <Sign
        size={18}
        aria-hidden="true"
        className={`shrink-0 ${hidden ? "text-accent-strong" : "text-text-2"}`}
      />
      {t("ask.hide")}
    </Button>
  );
  if (!card) {
    return (
      <div className="flex w-full flex-col items-center">
        <p className="text-center text-s text-text-2">{said}</p>
        {choice}
      </div>
    );
  }
  return (
    <aside
      aria-label={t("voice.title")}
      className="arrive relative mb-1 rounded-card border border-line-strong bg-surface-2 px-1 pt-2 pb-1"
    >
      {/* Large letters must leave room for what is around it. */}
      <div ref={box} className="max-h-[28dvh] overflow-y-auto">
        <p className="px-3 text-s text-text-2">{said}</p>
        <div className="flex items-center justify-between gap-2">
          {choice}
          <IconButton label={t("app.close")} onClick={() => void saveSettings({ voice_explained: true })}>
            <X size={18} />
          </IconButton>
        </div>
      </div>
      <span
        aria-hidden="true"
        className="absolute end-6 -bottom-[7px] size-3 rotate-45 border-r border-b border-line-strong bg-surface-2"
      />
    </aside>
  );
}

/** Whether something in a box is out of sight: what can't be read has not been said. */
function useCut() {
  const [element, box] = useState<HTMLDivElement | null>(null);
  const [cut, setCut] = useState(false);
  useEffect(() => {
    if (!element) return setCut(false);
    const observer = new ResizeObserver(() => setCut(element.scrollHeight > element.clientHeight + 1));
    for (const one of [element, ...element.children]) observer.observe(one);
    return () => observer.disconnect();
  }, [element]);
  return { box, cut };
}
