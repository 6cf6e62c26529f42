import { type City, plain } from "../lib/place";
import listed from "./cities.json";
import world from "./world.json";

/** Cities of more than 100,000 people, and capitals, the largest first. From GeoNames, CC BY 4.0. */
export const CITIES: City[] = (listed as [string, string, number, number][]).map(
  ([name, country, lat, lon]) => ({ name, country, lat, lon, plain: plain(name) }),
);

/** Outlines of land in degrees, `[lon, lat]` one after the other. From Natural Earth. */
export const LAND: Float32Array[] = (world as { grid: number; rings: number[][] }).rings.map((steps) => {
  const ring = new Float32Array(steps.length);
  let lon = 0;
  let lat = 0;
  for (let i = 0; i < steps.length; i += 2) {
    lon += steps[i] ?? 0;
    lat += steps[i + 1] ?? 0;
    ring[i] = lon / world.grid;
    ring[i + 1] = lat / world.grid;
  }
  return ring;
});
