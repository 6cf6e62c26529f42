import { useState } from "react";
import { tagOf } from "../../lib/glyph";
import { isUsername } from "../../lib/username";
import { command, useApp } from "../../state/store";
import { show } from "../../state/ui";
import { Glyph } from "../Glyph";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";

export function Rename() {
  const { t } = useWords();
  const me = useApp((s) => s.me);
  const [name, setName] = useState(me?.username ?? "");
  if (!me) return null;
  const left = me.username_changes_left;
  const trimmed = name.trim();
  const valid = isUsername(trimmed, me.limits);
  const wrong = trimmed !== "" && !valid;
  return (
    <SheetFrame title={t("rename.title")} before={<Glyph peer={me.peer_id} size={32} />}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (!valid || trimmed === me.username || left === 0) return;
          command({ type: "rename", username: trimmed.normalize("NFC") });
          show(null);
        }}
      >
        <label className="block text-s font-semibold text-text-2" htmlFor="rename-name">
          {t("rename.label")}
        </label>
        <input
          id="rename-name"
          data-begins
          value={name}
          disabled={left === 0}
          autoComplete="off"
          spellCheck={false}
          dir="auto"
          aria-invalid={wrong}
          aria-describedby="rename-hint"
          className="selectable mt-1 min-h-12 w-full rounded-ctl border border-line-strong bg-surface-0 px-3 focus:border-accent focus:outline-none disabled:opacity-60 aria-[invalid=true]:border-danger"
          onFocus={(event) => event.target.select()}
          onChange={(event) => setName(event.target.value)}
        />
        <p id="rename-hint" className={`pt-1.5 text-s ${wrong ? "text-danger" : "text-text-3"}`}>
          {wrong ? t("rename.invalid") : t("rename.hint", { tag: tagOf(me.peer_id) })}
        </p>
        <p className="pt-3 font-semibold">{t("rename.left", { count: left })}</p>
        {left > 0 && (
          <Button
            look="primary"
            type="submit"
            className="mt-4 w-full"
            disabled={!valid || trimmed === me.username}
          >
            {t("rename.save")}
          </Button>
        )}
      </form>
    </SheetFrame>
  );
}
