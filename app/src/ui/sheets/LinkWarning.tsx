import { addressParts } from "../../lib/text";
import { attempt, world } from "../../state/store";
import { show } from "../../state/ui";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";

/** A link leads out, and whoever is there learns an address: that is said before. */
export function LinkWarning({ url }: { url: string }) {
  const { t } = useWords();
  const { before, host, after } = addressParts(url);
  return (
    <SheetFrame title={t("link.title")}>
      <p className="selectable rounded-ctl bg-surface-2 px-3 py-2 [overflow-wrap:anywhere]" dir="ltr">
        <span className="text-text-3">{before}</span>
        <strong>{host}</strong>
        <span className="text-text-3">{after}</span>
      </p>
      <p className="pt-3 text-text-2">{t("link.warning", { host })}</p>
      <div className="flex flex-wrap gap-2 pt-5">
        <Button
          look="primary"
          className="grow"
          onClick={() => {
            show(null);
            void attempt(world().openLink(url));
          }}
        >
          {t("link.open", { host })}
        </Button>
        <Button onClick={() => show(null)}>{t("app.cancel")}</Button>
      </div>
    </SheetFrame>
  );
}
