import { distance } from "../../../lib/format";
import { tagOf } from "../../../lib/glyph";
import { command, panic, useApp } from "../../../state/store";
import { Glyph } from "../../Glyph";
import { useWords } from "../../hooks";
import { Button } from "../../kit";
import { Group } from "./fields";

export function Privacy() {
  const { t, language } = useWords();
  const blocked = useApp((s) => s.blocked);
  const grid = useApp((s) => s.located?.grid_m ?? null);
  return (
    <>
      <Group title={t("settings.known")}>
        <p className="text-text-2">
          {grid === null
            ? t("settings.known_nothing")
            : t("settings.known_hint", { grid: distance(grid, language) })}
        </p>
      </Group>
      <Group title={t("settings.blocked")}>
        {blocked.length === 0 ? (
          <p className="text-text-2">{t("settings.blocked_none")}</p>
        ) : (
          <ul>
            {blocked.map(({ peer, username }) => (
              <li key={peer} className="flex min-h-12 items-center gap-3">
                <Glyph peer={peer} size={24} />
                <bdi className="truncate font-semibold">{username}</bdi>
                <span className="grow text-s text-text-3 tabular">{tagOf(peer)}</span>
                <Button onClick={() => command({ type: "unblock", peer_id: peer })}>
                  {t("person.unblock")}
                </Button>
              </li>
            ))}
          </ul>
        )}
      </Group>
      <Group title={t("settings.panic")}>
        <p className="pb-2 text-text-2">{t("settings.panic_hint")}</p>
        <Button look="danger" onClick={() => void panic()}>
          {t("settings.panic")}
        </Button>
      </Group>
    </>
  );
}
