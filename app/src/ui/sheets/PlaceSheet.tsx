import { LocateFixed } from "lucide-react";
import { useId, useState } from "react";
import { CITIES } from "../../data/places";
import { distance } from "../../lib/format";
import { type City, cityNear, findCities, formatPoint, type Point, parsePoint, plain } from "../../lib/place";
import { attempt, useApp, world } from "../../state/store";
import { show } from "../../state/ui";
import { useWords } from "../hooks";
import { Button } from "../kit";
import { SheetFrame } from "./Sheets";
import { WorldMap } from "./WorldMap";

/** A city fills the map at this many pixels a degree. */
const CITY_SCALE = 900;
/** A circle does at this many. */
const CLOSE_SCALE = 14_000;

/** A place by hand: on a map that is drawn here, from a list of cities, or by coordinates. */
export default function PlaceSheet() {
  const { t, language } = useWords();
  const place = useApp((s) => s.app.place);
  const radius = useApp((s) => s.radius);
  const listId = useId();
  const present = place.state === "by_hand" ? { lat: place.lat, lon: place.lon } : null;
  const [point, setPoint] = useState<Point | null>(present);
  const [typed, setTyped] = useState(present ? formatPoint(present) : "");
  const [search, setSearch] = useState("");
  const [active, setActive] = useState(0);
  const [open, setOpen] = useState(false);
  const [look, setLook] = useState(() => beginAt(present));

  const found = open ? findCities(CITIES, search, 6) : [];
  const countries = new Intl.DisplayNames(language, { type: "region" });
  const wrong = typed.trim() !== "" && parsePoint(typed) === null;

  const choose = (next: Point, scale?: number) => {
    setPoint(next);
    setTyped(formatPoint(next));
    if (scale !== undefined) setLook({ at: next, scale });
  };

  const chooseCity = (city: City) => {
    setSearch(city.name);
    setOpen(false);
    choose(city, CITY_SCALE);
  };

  const use = () => {
    if (!point) return;
    const near = cityNear(CITIES, point);
    show(null);
    void attempt(
      world().placeByHand(
        point.lat,
        point.lon,
        near
          ? t("place.by_hand_near", { city: near.name })
          : t("place.by_hand_at", { coordinates: formatPoint(point) }),
      ),
    );
  };

  return (
    <SheetFrame title={t("place.title")}>
      {place.state === "live" && place.accuracy_m !== null && (
        <p className="pb-1">{t("place.accuracy", { accuracy: distance(place.accuracy_m, language) })}</p>
      )}
      <p className="text-text-2">{t("place.intro")}</p>
      <div className="mt-3 grid gap-3 wide:grid-cols-2">
        <div className="relative">
          <label className="block text-s font-semibold text-text-2" htmlFor={`${listId}-city`}>
            {t("place.search")}
          </label>
          <input
            id={`${listId}-city`}
            role="combobox"
            aria-expanded={found.length > 0}
            aria-controls={listId}
            aria-autocomplete="list"
            {...(found.length > 0 && { "aria-activedescendant": `${listId}-${active}` })}
            value={search}
            placeholder={t("place.search_hint")}
            autoComplete="off"
            dir="auto"
            className="selectable mt-1 min-h-12 w-full rounded-ctl border border-line-strong bg-surface-0 px-3 placeholder:text-text-3 focus:border-accent focus:outline-none"
            onChange={(event) => {
              setSearch(event.target.value);
              setActive(0);
              setOpen(true);
            }}
            onKeyDown={(event) => {
              const city = found[active];
              if (event.key === "ArrowDown" && found.length > 0) {
                event.preventDefault();
                setActive((active + 1) % found.length);
              } else if (event.key === "ArrowUp" && found.length > 0) {
                event.preventDefault();
                setActive((active - 1 + found.length) % found.length);
              } else if (event.key === "Enter" && city) {
                event.preventDefault();
                chooseCity(city);
              } else if (event.key === "Escape" && open && found.length > 0) {
                event.stopPropagation();
                setOpen(false);
              }
            }}
            onBlur={() => setOpen(false)}
          />
          <div
            id={listId}
            role="listbox"
            aria-label={t("place.search")}
            hidden={found.length === 0}
            className="absolute z-10 mt-1 w-full rounded-ctl border border-line bg-surface-1 p-1 shadow-lift"
          >
            {found.map((city, index) => (
              // biome-ignore lint/a11y/useFocusableInteractive: the focus stays in the text, as aria-activedescendant has it
              <div
                key={`${city.name}-${city.lat}-${city.lon}`}
                id={`${listId}-${index}`}
                role="option"
                aria-selected={index === active}
                className={`flex min-h-11 items-center justify-between gap-3 rounded-ctl px-3 ${index === active ? "bg-surface-3" : ""}`}
                onPointerDown={(event) => {
                  event.preventDefault();
                  chooseCity(city);
                }}
              >
                <span className="truncate">{city.name}</span>
                <span className="truncate text-s text-text-3">{countries.of(city.country)}</span>
              </div>
            ))}
          </div>
          {open && plain(search).length > 1 && found.length === 0 && (
            <p className="pt-1 text-s text-text-3">{t("place.no_city")}</p>
          )}
        </div>
        <div>
          <label className="block text-s font-semibold text-text-2" htmlFor={`${listId}-at`}>
            {t("place.coordinates")}
          </label>
          <input
            id={`${listId}-at`}
            value={typed}
            dir="ltr"
            inputMode="text"
            placeholder={t("place.coordinates_hint")}
            autoComplete="off"
            aria-invalid={wrong}
            className="selectable mt-1 min-h-12 w-full rounded-ctl border border-line-strong bg-surface-0 px-3 tabular placeholder:text-text-3 focus:border-accent focus:outline-none aria-[invalid=true]:border-danger"
            onChange={(event) => {
              setTyped(event.target.value);
              const next = parsePoint(event.target.value);
              if (!next) return;
              setPoint(next);
              setLook({ at: next, scale: CLOSE_SCALE });
            }}
          />
          {wrong && <p className="pt-1 text-s text-danger">{t("place.invalid")}</p>}
        </div>
      </div>
      <div className="mt-3 h-[min(38dvh,360px)]">
        <WorldMap point={point} radius={radius} look={look} onPoint={choose} />
      </div>
      <p className="pt-2 text-s text-text-3">{t("place.precise")}</p>
      <div className="flex flex-wrap gap-2 pt-4">
        <Button look="primary" className="grow" disabled={!point || wrong} onClick={use}>
          {t("place.use")}
        </Button>
        {place.state !== "live" && (
          <Button
            onClick={() => {
              show(null);
              void attempt(world().useLocation());
            }}
          >
            <LocateFixed size={18} aria-hidden="true" />
            {t("place.live")}
          </Button>
        )}
      </div>
      <p className="pt-3 text-s text-text-3">{t("place.sources")}</p>
    </SheetFrame>
  );
}

/** Where the map begins: at the chosen place, or where the clock suggests. */
function beginAt(present: Point | null): { at: Point; scale: number } {
  if (present) return { at: present, scale: CLOSE_SCALE };
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "";
  const name = plain(zone.split("/").at(-1)?.replaceAll("_", " ") ?? "");
  const city = CITIES.find((one) => one.plain === name);
  return city ? { at: city, scale: 24 } : { at: { lat: 24, lon: 10 }, scale: 1.6 };
}
