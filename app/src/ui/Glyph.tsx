import { memo } from "react";
import type { PeerId } from "../backend/types";
import { type GlyphLook, glyphOf } from "../lib/glyph";

/** Outlines in a square of 24, all about equally heavy. */
const OUTLINES: Record<GlyphLook["shape"], string> = {
  circle: "M12 2a10 10 0 1 1 0 20a10 10 0 1 1 0-20z",
  square:
    "M6.5 3h11a3.5 3.5 0 0 1 3.5 3.5v11a3.5 3.5 0 0 1-3.5 3.5h-11a3.5 3.5 0 0 1-3.5-3.5v-11a3.5 3.5 0 0 1 3.5-3.5z",
  diamond: "M12 1l11 11l-11 11l-11-11z",
  triangle: "M12 2l11 19.5h-22z",
  hexagon: "M12 1l9.7 5.5v11l-9.7 5.5l-9.7-5.5v-11z",
  pentagon: "M12 1.2l10.9 8l-4.2 12.8h-13.4l-4.2-12.8z",
  drop: "M12 0.5c4 5.5 8.6 9 8.6 14a8.6 8.6 0 0 1-17.2 0c0-5 4.6-8.5 8.6-14z",
  flower:
    "M12 1.5a5 5 0 0 1 4.6 3a5 5 0 0 1 4.9 7.5a5 5 0 0 1-4.9 7.5a5 5 0 0 1-9.2 0a5 5 0 0 1-4.9-7.5a5 5 0 0 1 4.9-7.5a5 5 0 0 1 4.6-3z",
  shield: "M3 2.5h18v10c0 5-4.2 8.3-9 10c-4.8-1.7-9-5-9-10z",
  half: "M1.5 15.5a10.5 10.5 0 0 1 21 0v3.5a2 2 0 0 1-2 2h-17a2 2 0 0 1-2-2z",
};

function Mark({ mark, cy }: { mark: GlyphLook["mark"]; cy: number }) {
  const paper = "var(--glyph-paper, var(--surface-1))";
  switch (mark) {
    case "dot":
      return <circle cx="12" cy={cy} r="3.4" fill={paper} />;
    case "bar":
      return <rect x="6.5" y={cy - 1.8} width="11" height="3.6" rx="1.8" fill={paper} />;
    case "ring":
      return <circle cx="12" cy={cy} r="4" fill="none" stroke={paper} strokeWidth="2.4" />;
    case "split":
      return <rect x="10.4" y={cy - 5} width="3.2" height="10" rx="1.6" fill={paper} />;
    case "cross":
      return (
        <path
          d={`M8.6 ${cy - 3.4}l6.8 6.8m0-6.8l-6.8 6.8`}
          stroke={paper}
          strokeWidth="2.8"
          strokeLinecap="round"
        />
      );
    default:
      return null;
  }
}

/** The drawing alone, for inside another picture; 24 by 24 around its middle. */
export const GlyphShape = memo(function GlyphShape({ peer }: { peer: PeerId }) {
  const { shape, mark, hue } = glyphOf(peer);
  const cy = shape === "triangle" || shape === "drop" || shape === "half" ? 14.5 : 12;
  return (
    <g transform="translate(-12 -12)">
      <path
        d={OUTLINES[shape]}
        style={{ fill: `oklch(var(--glyph-l) var(--glyph-c) ${hue})` }}
        strokeLinejoin="round"
      />
      <Mark mark={mark} cy={cy} />
    </g>
  );
});

/** A person's sign. It stands beside their name, so it has no name of its own. */
export function Glyph({ peer, size = 32 }: { peer: PeerId; size?: number }) {
  return (
    <svg width={size} height={size} viewBox="-12.5 -12.5 25 25" aria-hidden="true" className="shrink-0">
      <GlyphShape peer={peer} />
    </svg>
  );
}
