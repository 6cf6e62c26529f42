import { Minus, Plus } from "lucide-react";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { CITIES, LAND } from "../../data/places";
import { distance } from "../../lib/format";
import { metresPerDegree, type Point, project, unproject } from "../../lib/place";
import { useWords } from "../hooks";
import { IconButton } from "../kit";

interface View {
  /** The middle, projected. */
  x: number;
  y: number;
  /** Pixels a degree. */
  scale: number;
}

/** Nearer than this the outlines are too coarse to be of use. */
const OUTLINES_TO = 3_000;
/** Half a pixel a metre, about: a street corner. */
const NEAREST = 60_000;

/** A map of the world that is drawn here: nobody is asked for a tile, so nobody learns where one looks. */
export function WorldMap({
  point,
  radius,
  onPoint,
  look,
}: {
  point: Point | null;
  radius: number;
  onPoint: (point: Point) => void;
  /** Where to look; each new value moves the view. */
  look: { at: Point; scale: number };
}) {
  const { t, language } = useWords();
  const canvas = useRef<HTMLCanvasElement>(null);
  const [view, setView] = useState<View>(() => {
    const [x, y] = project(look.at);
    return { x, y, scale: look.scale };
  });
  const [size, setSize] = useState({ width: 0, height: 0 });
  const pointers = useRef(new Map<number, { x: number; y: number }>());
  const moved = useRef(false);

  useEffect(() => {
    const [x, y] = project(look.at);
    setView({ x, y, scale: look.scale });
  }, [look]);

  useLayoutEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const observer = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useEffect(() => {
    const element = canvas.current;
    if (!element || size.width === 0) return;
    const density = window.devicePixelRatio || 1;
    element.width = size.width * density;
    element.height = size.height * density;
    const context = element.getContext("2d");
    if (!context) return;
    context.scale(density, density);
    draw(context, size, view, point, radius, language, getComputedStyle(element));
  }, [size, view, point, radius, language]);

  const zoom = useCallback(
    (by: number, at?: { x: number; y: number }) => {
      setView((now) => {
        const least = size.width > 0 ? size.width / 360 : 1;
        const scale = Math.max(least, Math.min(NEAREST, now.scale * by));
        const [dx, dy] = at ? [at.x - size.width / 2, at.y - size.height / 2] : [0, 0];
        return {
          x: now.x + dx / now.scale - dx / scale,
          y: clampY(now.y + dy / now.scale - dy / scale),
          scale,
        };
      });
    },
    [size],
  );

  // React's own wheel handlers can't keep the sheet from scrolling.
  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 300), { x: event.offsetX, y: event.offsetY });
    };
    element.addEventListener("wheel", wheel, { passive: false });
    return () => element.removeEventListener("wheel", wheel);
  }, [zoom]);

  const pan = (dx: number, dy: number) =>
    setView((now) => ({ ...now, x: now.x - dx / now.scale, y: clampY(now.y - dy / now.scale) }));

  const at = (x: number, y: number): Point =>
    unproject(view.x + (x - size.width / 2) / view.scale, view.y + (y - size.height / 2) / view.scale);

  const onKeyDown = (event: React.KeyboardEvent) => {
    const step = event.shiftKey ? 64 : 16;
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) {
      event.preventDefault();
      const [mx = 0, my = 0] = move;
      const [px, py] = point ? project(point) : [view.x, view.y];
      const next = unproject(px + (mx * step) / view.scale, clampY(py + (my * step) / view.scale));
      onPoint(next);
      const [x, y] = project(next);
      setView((now) => ({ ...now, x, y }));
    } else if (event.key === "+" || event.key === "=") zoom(1.6);
    else if (event.key === "-") zoom(1 / 1.6);
  };

  return (
    <div className="relative h-full overflow-hidden rounded-ctl bg-surface-0">
      {/* biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: arrow keys move the point; the coordinates beside it are the same in text */}
      <canvas
        ref={canvas}
        role="application"
        aria-label={t("place.map")}
        tabIndex={0}
        className="size-full cursor-crosshair touch-none focus-visible:-outline-offset-2"
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          pointers.current.set(event.pointerId, { x: event.clientX, y: event.clientY });
          moved.current = false;
        }}
        onPointerMove={(event) => {
          const before = pointers.current.get(event.pointerId);
          if (!before) return;
          const now = { x: event.clientX, y: event.clientY };
          const other = [...pointers.current.entries()].find(([id]) => id !== event.pointerId)?.[1];
          if (other) {
            const was = Math.hypot(before.x - other.x, before.y - other.y);
            const is = Math.hypot(now.x - other.x, now.y - other.y);
            moved.current = true;
            if (was > 0) zoom(is / was);
          } else if (moved.current || Math.hypot(now.x - before.x, now.y - before.y) > 4) {
            moved.current = true;
            pan(now.x - before.x, now.y - before.y);
          } else return;
          pointers.current.set(event.pointerId, now);
        }}
        onPointerUp={(event) => {
          pointers.current.delete(event.pointerId);
          if (moved.current) return;
          const box = event.currentTarget.getBoundingClientRect();
          onPoint(at(event.clientX - box.left, event.clientY - box.top));
        }}
        onPointerCancel={(event) => pointers.current.delete(event.pointerId)}
      />
      <div className="absolute end-2 top-2 flex flex-col gap-1">
        <IconButton label={t("place.zoom_in")} tone="over" onClick={() => zoom(2)}>
          <Plus size={20} />
        </IconButton>
        <IconButton label={t("place.zoom_out")} tone="over" onClick={() => zoom(0.5)}>
          <Minus size={20} />
        </IconButton>
      </div>
    </div>
  );
}

function clampY(y: number): number {
  return Math.max(-175, Math.min(175, y));
}

function draw(
  context: CanvasRenderingContext2D,
  { width, height }: { width: number; height: number },
  view: View,
  point: Point | null,
  radius: number,
  language: string,
  style: CSSStyleDeclaration,
): void {
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const screen = (x: number, y: number): [number, number] => [
    (x - view.x) * view.scale + width / 2,
    (y - view.y) * view.scale + height / 2,
  ];
  const near = view.scale > OUTLINES_TO;
  context.fillStyle = near ? colour("--surface-2") : colour("--surface-0");
  context.fillRect(0, 0, width, height);

  if (!near) {
    context.beginPath();
    // The world repeats to both sides, so that the Pacific has no edge.
    for (const turn of [-360, 0, 360]) {
      for (const ring of LAND) {
        for (let i = 0; i < ring.length; i += 2) {
          const [px, py] = project({ lon: ring[i] ?? 0, lat: ring[i + 1] ?? 0 });
          const [x, y] = screen(px + turn, py);
          if (i === 0) context.moveTo(x, y);
          else context.lineTo(x, y);
        }
        context.closePath();
      }
    }
    context.fillStyle = colour("--surface-3");
    context.fill("evenodd");
    context.strokeStyle = colour("--line-strong");
    context.lineWidth = 0.6;
    context.stroke();
  }

  const here = unproject(view.x, view.y);
  const pixelsPerMetre = view.scale / metresPerDegree(here.lat);
  context.font = `12px ${style.fontFamily}`;

  // As many names as there is room for, the largest cities first.
  const taken: [number, number, number, number][] = [];
  let drawn = 0;
  for (const city of CITIES) {
    const [px, py] = project(city);
    const [x, y] = screen(px, py);
    if (x < 4 || y < 4 || x > width - 4 || y > height - 4) continue;
    const wide = context.measureText(city.name).width;
    const box: [number, number, number, number] = [x - 4, y - 9, x + wide + 12, y + 9];
    if (taken.some((o) => box[0] < o[2] && box[2] > o[0] && box[1] < o[3] && box[3] > o[1])) continue;
    taken.push(box);
    context.fillStyle = colour("--text-3");
    context.beginPath();
    context.arc(x, y, 2, 0, 2 * Math.PI);
    context.fill();
    context.fillText(city.name, x + 6, y + 4);
    drawn += 1;
    if (drawn > 60) break;
  }

  if (point) {
    const [px, py] = project(point);
    const [x, y] = screen(px, py);
    const rim = Math.max(9, (radius / metresPerDegree(point.lat)) * view.scale);
    context.fillStyle = colour("--accent");
    context.globalAlpha = 0.18;
    context.beginPath();
    context.arc(x, y, rim, 0, 2 * Math.PI);
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colour("--accent");
    context.lineWidth = 2;
    context.stroke();
    context.fillStyle = colour("--accent");
    context.beginPath();
    context.arc(x, y, 3.5, 0, 2 * Math.PI);
    context.fill();
  }

  // How long something is, since there is nothing else to tell it by.
  const metres = [50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6].find(
    (length) => length * pixelsPerMetre >= 56,
  );
  if (metres !== undefined) {
    const long = metres * pixelsPerMetre;
    context.strokeStyle = colour("--text-2");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(12, height - 18);
    context.lineTo(12, height - 12);
    context.lineTo(12 + long, height - 12);
    context.lineTo(12 + long, height - 18);
    context.stroke();
    context.fillStyle = colour("--text-2");
    context.fillText(distance(metres, language), 18, height - 17);
  }
}
