import { QrCode } from "lucide-react";
import { memo, useMemo, useRef, useState } from "react";
import type { PeerId, Person } from "../backend/types";
import {
  countWithin,
  radiusOf,
  rimAt,
  ringAt,
  ringsWithin,
  STEPS,
  spread,
  stepAt,
  stepOf,
} from "../lib/circle";
import { distance, number, spokenDistance } from "../lib/format";
import { glyphOf } from "../lib/glyph";
import { chooseRadius, useApp } from "../state/store";
import { show, useUi } from "../state/ui";
import { GlyphShape } from "./Glyph";
import { useWide, useWords } from "./hooks";
import { Button, Slider } from "./kit";

/** More than this many signs would be a fog; the list has everyone. */
const DRAWN = 140;
/** A sign and the ring of those in voice, and a little air. */
const SIGN = 32;
/** Half the width of the picture, in its own units. */
const HALF = 100;
/** The rim is drawn a little inside of the picture's edge. */
const FULL = 96;

/** The circle around this person: its size, and who is in it at which distance. */
export function Circle() {
  const { t, language } = useWords();
  const radius = useApp((s) => s.radius);
  const people = useApp((s) => s.people);
  const order = useApp((s) => s.order);
  const reach = useApp((s) => s.reach);
  const me = useApp((s) => s.me?.peer_id ?? null);
  const placed = useApp((s) => s.located !== null);
  const presentRadius = useApp((s) => s.located?.radius ?? s.radius);
  const [dragged, setDragged] = useState<number | null>(null);
  const wide = useWide();

  const shown = dragged === null ? radius : radiusOf(dragged);
  const list = useMemo(() => order.flatMap((peer) => people[peer] ?? []), [order, people]);
  const count = placed ? countWithin(shown, { radius: presentRadius, people: list }, reach) : null;
  const words =
    count === null
      ? null
      : count.min === count.max
        ? t("circle.count", { count: count.min })
        : t("circle.range", { ...count });
  const spoken = spokenDistance(shown, language);

  const commit = (step: number) => {
    setDragged(null);
    chooseRadius(radiusOf(step));
  };

  return (
    <section aria-label={t("circle.title")} className="flex shrink-0 flex-col items-stretch px-4">
      <div className="mx-auto aspect-square h-[min(100vw-32px,300px,38vh)] max-w-full wide:h-[min(300px,31vh)]">
        <Picture
          step={dragged ?? stepOf(radius)}
          present={radius}
          people={list}
          me={me}
          placed={placed}
          onDrag={setDragged}
          onCommit={commit}
        />
      </div>
      <div className="flex min-h-11 flex-wrap items-center justify-between gap-x-3 gap-y-1 pt-1">
        <p className="text-l font-semibold tabular">
          {distance(shown, language)}
          {words !== null && <span className="font-normal text-text-2"> · {words}</span>}
        </p>
        {!wide && (
          <Button look="quiet" onClick={() => show({ kind: "invite" })}>
            <QrCode size={18} aria-hidden="true" />
            {t("header.invite")}
          </Button>
        )}
      </div>
      <Slider
        label={t("circle.radius")}
        value={dragged ?? stepOf(radius)}
        min={0}
        max={STEPS.length - 1}
        text={words === null ? spoken : t("circle.within", { radius: spoken, people: words })}
        onChange={setDragged}
        onCommit={commit}
      />
      <p className="text-s text-text-3">{placed ? t("circle.honest") : t("circle.no_place")}</p>
    </section>
  );
}

function Picture({
  step,
  present,
  people,
  me,
  placed,
  onDrag,
  onCommit,
}: {
  step: number;
  /** The radius that was chosen last, whatever is being dragged. */
  present: number;
  people: Person[];
  me: PeerId | null;
  placed: boolean;
  onDrag: (step: number) => void;
  onCommit: (step: number) => void;
}) {
  const { t, language } = useWords();
  const reach = useApp((s) => s.reach);
  // What only waits for a person stands still: a window that is left open is to cost nothing.
  const finding = useApp((s) => s.app.place.state === "finding");
  const svg = useRef<SVGSVGElement>(null);
  const dragging = useRef<number | null>(null);
  const radius = radiusOf(step);
  const rim = rimAt(step) * FULL;
  const rings = ringsWithin(radius, 3);
  const beyond = placed ? reach.filter((r) => r.radius > radius && r.count > 0 && r.radius >= 500) : [];
  const drawn = useMemo(() => people.slice(0, DRAWN), [people]);
  const size = people.length > 60 ? 0.32 : people.length > 20 ? 0.42 : 0.56;
  // Nobody turns while the rim is dragged.
  const angles = useMemo(() => {
    const presentRim = rimAt(stepOf(present)) * FULL;
    const placed = drawn.map(({ peer_id, distance }) => ({
      id: peer_id,
      angle: glyphOf(peer_id).angle,
      at: ringAt((distance.min + distance.max) / 2, present) * presentRim,
    }));
    // In a crowd there is no room to give.
    return placed.length > 60
      ? new Map(placed.map(({ id, angle }) => [id, angle]))
      : spread(placed, SIGN * size);
  }, [drawn, present, size]);

  const stepUnder = (x: number, y: number): number => {
    const box = svg.current?.getBoundingClientRect();
    if (!box) return step;
    const dx = x - box.left - box.width / 2;
    const dy = y - box.top - box.height / 2;
    return stepAt((Math.hypot(dx, dy) / (box.width / 2)) * (HALF / FULL));
  };

  return (
    <svg
      ref={svg}
      viewBox={`${-HALF} ${-HALF} ${2 * HALF} ${2 * HALF}`}
      className="size-full overflow-visible"
      role="img"
      aria-label={t("circle.picture", { count: people.length, radius: spokenDistance(radius, language) })}
    >
      <defs>
        <radialGradient id="circle-fill">
          <stop offset="0%" stopColor="var(--circle-core)" />
          <stop offset="100%" stopColor="var(--circle-edge)" />
        </radialGradient>
      </defs>
      {beyond.map((r) => {
        const at = rimAt(stepOf(r.radius)) * FULL;
        if (at - rim < 12) return null;
        return (
          <g key={r.radius} className="text-text-3">
            <circle
              r={at}
              fill="none"
              stroke="currentColor"
              strokeOpacity="0.5"
              strokeDasharray="1 4"
              strokeLinecap="round"
            />
            <text
              transform={`rotate(-45) translate(0 ${-at + 2.4})`}
              textAnchor="middle"
              className="tabular"
              fontSize="7.2"
              fill="currentColor"
              stroke="var(--surface-1)"
              strokeWidth="4"
              paintOrder="stroke"
            >
              {`${distance(r.radius, language)} · ${number(r.count, language)}`}
            </text>
          </g>
        );
      })}
      <circle className="circle-ring" r={rim} fill="url(#circle-fill)" />
      {rings.map((ring) => {
        const at = ringAt(ring, radius) * rim;
        return (
          <g key={ring}>
            <circle r={at} fill="none" stroke="var(--line)" strokeWidth="0.8" />
            <text
              y={-at + 2.4}
              textAnchor="middle"
              className="tabular"
              fontSize="7.2"
              fill="var(--text-3)"
              stroke="var(--circle-edge)"
              strokeWidth="3"
              paintOrder="stroke"
            >
              {distance(ring, language)}
            </text>
          </g>
        );
      })}
      <circle
        className={`circle-ring ${finding ? "breathe" : ""}`}
        r={rim}
        fill="none"
        stroke="var(--accent)"
        strokeWidth="1.6"
      />
      {drawn.map((person) => (
        <Spot
          key={person.peer_id}
          person={person}
          angle={angles.get(person.peer_id) ?? 0}
          radius={radius}
          rim={rim}
          size={size}
        />
      ))}
      {me && <Centre me={me} />}
      {/* The rim can be taken anywhere; the slider below is the same for keys and screen readers. */}
      <g
        className="cursor-nwse-resize touch-none"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          dragging.current = step;
          onDrag(step);
        }}
        onPointerMove={(event) => {
          if (dragging.current === null) return;
          dragging.current = stepUnder(event.clientX, event.clientY);
          onDrag(dragging.current);
        }}
        onPointerUp={() => {
          if (dragging.current !== null) onCommit(dragging.current);
          dragging.current = null;
        }}
        onPointerCancel={() => {
          if (dragging.current !== null) onCommit(step);
          dragging.current = null;
        }}
      >
        <circle r={rim} fill="none" stroke="transparent" strokeWidth="16" />
        <g transform={`translate(${rim * Math.SQRT1_2} ${rim * Math.SQRT1_2})`}>
          <circle r="6.4" fill="var(--surface-1)" stroke="var(--accent)" strokeWidth="2.4" />
          <path
            d="M-2.2 -0.6v2.8h2.8M2.2 0.6v-2.8h-2.8"
            fill="none"
            stroke="var(--accent)"
            strokeWidth="1.3"
            strokeLinecap="round"
            strokeLinejoin="round"
          />
        </g>
      </g>
    </svg>
  );
}

function Centre({ me }: { me: PeerId }) {
  const talking = useApp((s) => s.levels.own.talking && s.levels.own.speaking);
  return (
    <g>
      {talking && <Ripples />}
      <circle r="9.6" fill="var(--surface-1)" stroke="var(--accent)" strokeWidth="1.2" />
      <g transform="scale(0.5)">
        <GlyphShape peer={me} />
      </g>
    </g>
  );
}

function Ripples() {
  return (
    <>
      <circle className="ripple" r="9" fill="none" stroke="var(--speak)" strokeWidth="1.8" />
      <circle className="ripple ripple-later" r="9" fill="none" stroke="var(--speak)" strokeWidth="1.8" />
    </>
  );
}

/** Somebody on their ring. The angle is made up, and stays. */
const Spot = memo(function Spot({
  person,
  angle,
  radius,
  rim,
  size,
}: {
  person: Person;
  angle: number;
  radius: number;
  rim: number;
  size: number;
}) {
  const peer = person.peer_id;
  const speaking = useApp((s) => s.levels.people[peer]?.speaking ?? false);
  const deaf = useApp((s) => s.voicePeople[peer]?.cannot_hear_you ?? false);
  const hovered = useUi((s) => s.hovered === peer);
  const at = ringAt((person.distance.min + person.distance.max) / 2, radius) * rim;
  const inside = person.distance.min < radius;
  const x = Math.cos(angle) * at;
  const y = Math.sin(angle) * at;
  const labelled = hovered || speaking;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the picture is one image; the list is for keys and screen readers
    <g
      className="circle-person cursor-pointer"
      style={{ transform: `translate(${x}px, ${y}px)`, opacity: inside ? 1 : 0.25 }}
      onClick={() => show({ kind: "person", peer })}
      onPointerEnter={() => useUi.setState({ hovered: peer })}
      onPointerLeave={() => useUi.setState({ hovered: null })}
    >
      {speaking && <Ripples />}
      <circle r="9" fill="transparent" />
      <g
        transform={`scale(${hovered ? size * 1.25 : size})`}
        style={{ "--glyph-paper": "var(--circle-edge)" }}
      >
        <GlyphShape peer={peer} />
      </g>
      {person.in_voice && !person.muted && !speaking && (
        <circle r={14.5 * size} fill="none" stroke="var(--speak)" strokeWidth="1.2" />
      )}
      {person.in_voice && person.muted && (
        <path
          d={`M${-12 * size} ${12 * size}L${12 * size} ${-12 * size}`}
          stroke="var(--text-1)"
          strokeWidth="1.6"
          strokeLinecap="round"
        />
      )}
      {deaf && (
        <circle
          r={17 * size}
          fill="none"
          stroke="var(--danger)"
          strokeWidth="1.6"
          strokeDasharray="2 2.6"
          strokeLinecap="round"
        />
      )}
      {labelled && (
        <text
          y={y < 0 ? -12 : 17}
          textAnchor="middle"
          fontSize="8"
          fontWeight="600"
          fill="var(--text-1)"
          stroke="var(--circle-edge)"
          strokeWidth="3"
          paintOrder="stroke"
        >
          {person.username}
        </text>
      )}
    </g>
  );
});
