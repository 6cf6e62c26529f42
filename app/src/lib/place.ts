/** A point on the Earth, in degrees. */
export interface Point {
  lat: number;
  lon: number;
}

/** Reads coordinates as people write them: "52.5230, 13.4140", "52.5 N 13.4 E", "geo:52.5,13.4". */
export function parsePoint(text: string): Point | null {
  const match =
    /^\s*(?:geo:)?\s*([-+−]?\d{1,3}(?:\.\d+)?)\s*°?\s*([NS])?\s*[,;\s]\s*([-+−]?\d{1,3}(?:\.\d+)?)\s*°?\s*([EW])?\s*$/i.exec(
      text,
    );
  if (!match) return null;
  const lat = Number(match[1]?.replace("−", "-")) * (match[2]?.toUpperCase() === "S" ? -1 : 1);
  const lon = Number(match[3]?.replace("−", "-")) * (match[4]?.toUpperCase() === "W" ? -1 : 1);
  return Math.abs(lat) <= 90 && Math.abs(lon) <= 180 ? { lat, lon } : null;
}

export function formatPoint({ lat, lon }: Point): string {
  return `${lat.toFixed(4)}, ${lon.toFixed(4)}`;
}

/** The Mercator projection, in degrees: conformal, so that circles stay circles. */
export function project({ lat, lon }: Point): [number, number] {
  const clamped = Math.max(-85, Math.min(85, lat));
  const y = Math.log(Math.tan(Math.PI / 4 + (clamped * Math.PI) / 360));
  return [lon, -(y * 180) / Math.PI];
}

export function unproject(x: number, y: number): Point {
  const lat = (Math.atan(Math.exp((-y * Math.PI) / 180)) * 360) / Math.PI - 90;
  const lon = ((((x + 180) % 360) + 360) % 360) - 180;
  return { lat, lon };
}

/** Metres that one projected degree is at a latitude. */
export function metresPerDegree(lat: number): number {
  return 111_320 * Math.cos((Math.max(-85, Math.min(85, lat)) * Math.PI) / 180);
}

/** Between two points, in metres; exact enough to say what is near. */
export function metresBetween(a: Point, b: Point): number {
  const rad = Math.PI / 180;
  const h =
    Math.sin(((b.lat - a.lat) * rad) / 2) ** 2 +
    Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.sin(((b.lon - a.lon) * rad) / 2) ** 2;
  return 2 * 6_371_000 * Math.asin(Math.min(1, Math.sqrt(h)));
}

export interface City extends Point {
  name: string;
  country: string;
  /** Lower case, without accents. */
  plain: string;
}

/** For comparing what is typed with what is listed. */
export function plain(text: string): string {
  return text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().trim();
}

/** Cities whose name begins with what was typed, the largest first; then those with a word that does. */
export function findCities(cities: readonly City[], typed: string, most: number): City[] {
  const wanted = plain(typed);
  if (wanted === "") return [];
  const first = cities.filter((city) => city.plain.startsWith(wanted));
  if (first.length >= most) return first.slice(0, most);
  const later = cities.filter((city) => city.plain.includes(` ${wanted}`));
  return [...first, ...later].slice(0, most);
}

/** The nearest city within a day's walk. */
export function cityNear(cities: readonly City[], point: Point): City | null {
  let best: City | null = null;
  let least = 40_000;
  for (const city of cities) {
    if (Math.abs(city.lat - point.lat) > 0.5) continue;
    const metres = metresBetween(city, point);
    if (metres < least) [best, least] = [city, metres];
  }
  return best;
}
